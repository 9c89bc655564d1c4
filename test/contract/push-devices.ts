import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ProtocolError } from '../../src/protocol/errors.ts'
import { PUSH_TABLES } from '../../src/push/store/rows.ts'
import type { Address, Device } from '../../src/push/store.ts'
import { eventually } from '../support/eventually.ts'
import type { Engine, TestStores } from '../support/stores.ts'

const DAY = 86_400_000
const LIMIT = 8

/** What push may rely on of devices, whatever the engine. */
export const pushDevicesContract = (engine: Engine): void => {
  describe(`devices of push on ${engine.name}`, () => {
    let stores: TestStores
    const now = Date.now()
    const expiresAt = now + DAY
    const store = () => stores.push
    const fcm = (token: string): Address => ({ provider: 'fcm', token })
    const device = (id: string, change: Partial<Device> = {}): Device => ({
      ...{ id, projectId: 'p', address: fcm(`token of ${id}`), form: 'published' },
      ...{ isLegacy: false, isProven: true, expiresAt, ...change },
    })
    const register = (clientId: string, one: Device) =>
      store().register(clientId, one, { now, devices: LIMIT })
    const idsOf = async (clientId: string, at = now) =>
      (await store().devices([clientId], at)).map(({ id }) => id)
    /** Entries beside the devices themselves. */
    const entries = async () => {
      const counts = { tokens: 0, registered: 0 }
      for await (const { rows } of stores.kv.rows(PUSH_TABLES.tokens.table)) counts.tokens += rows.length
      for await (const { rows } of stores.kv.rows(PUSH_TABLES.registered.table))
        counts.registered += rows.length
      return counts
    }
    const unauthenticated = expect.objectContaining({ code: 'unauthenticated' })

    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('gives a device back as it came, after a restart too', async () => {
      const one = device('a', {
        form: 'hidden',
        address: { provider: 'webpush', endpoint: 'https://push.example/é', p256dh: 'x', auth: 'y' },
        sealKey: 'ab'.repeat(32),
        tags: [4002, 1108],
        quiet: { from: 1_320, to: 420, timeZone: 'Europe/Vienna' },
      })
      await register('one', one)
      await stores.reopen()
      expect(await store().devices(['one', 'nobody'], now)).toEqual([{ clientId: 'one', ...one }])
    })

    it('has one device of an id: a new address takes the place of the other, and is counted', async () => {
      await register('one', device('a', { address: fcm('first') }))
      await register('one', device('a', { address: fcm('second') }))
      expect(await store().devices(['one'], now)).toMatchObject([{ address: fcm('second') }])
      expect(await store().countDevices('p', now)).toBe(1)
      expect((await store().listDevices('p', { limit: 10, now })).devices).toHaveLength(1)
      expect(await entries()).toEqual({ tokens: 1, registered: 1 })
      await register('one', device('a', { address: fcm('second'), expiresAt: expiresAt + DAY }))
      await register('one', device('a', { projectId: 'other', address: fcm('second') }))
      expect(await store().countDevices('p', now)).toBe(0)
      expect(await entries()).toEqual({ tokens: 1, registered: 1 })
    })

    it('still has the token of a device that is registered again on another day', async () => {
      await register('one', device('a'))
      await register('one', device('a', { expiresAt: expiresAt + DAY }))
      const live = await store().devices(['one'], now)
      expect(live).toMatchObject([{ expiresAt: expiresAt + DAY }])
      expect(await store().holders(live)).toEqual(live)
      expect(await entries()).toEqual({ tokens: 1, registered: 1 })
    })

    it('has a token at one client: the last that registered it, also of many at once', async () => {
      await register('one', device('a', { address: fcm('shared') }))
      await register('two', device('b', { address: fcm('shared') }))
      expect([await idsOf('one'), await idsOf('two')]).toEqual([[], ['b']])
      const crowd = Array.from({ length: 10 }, (_, at) => `client ${at}`)
      await Promise.all(crowd.map((one) => register(one, device('c', { address: fcm('wanted') }))))
      expect(await store().holders(await store().devices(crowd, now))).toHaveLength(1)
    })

    it('has at most so many devices of a client, also of many at once', async () => {
      const ids = Array.from({ length: 20 }, (_, at) => `d${at}`)
      const outcomes = await Promise.allSettled(ids.map((id) => register('one', device(id))))
      const refused = outcomes.filter((one) => one.status === 'rejected')
      expect(refused).toHaveLength(ids.length - LIMIT)
      for (const { reason } of refused) expect(reason).toMatchObject({ code: 'rate_limited' })
      expect(await idsOf('one')).toHaveLength(LIMIT)
      // One that is there is registered again.
      const [known = ''] = await idsOf('one')
      await register('one', device(known))
    })

    it('has a proven registration win over others, whoever comes first', async () => {
      await register('one', device('a', { isProven: false }))
      await register('one', device('b'))
      expect(await idsOf('one')).toEqual(['b'])
      const mine = device('b', { isProven: false })
      await expect(register('one', mine)).rejects.toEqual(unauthenticated)
      const taking = device('c', { isProven: false, address: fcm('token of b') })
      await expect(register('two', taking)).rejects.toEqual(unauthenticated)
      const ending = store().unregister('one', { mayEndProven: false }, now)
      await expect(ending).rejects.toEqual(unauthenticated)
      expect([await idsOf('one'), await idsOf('two')]).toEqual([['b'], []])
      expect(new ProtocolError('unauthenticated').http).toBe(401)
    })

    it('ends all devices, those of a project, or one, and leaves no entry of them', async () => {
      for (const id of ['a', 'b']) await register('one', device(id))
      await register('one', device('c', { projectId: 'other' }))
      const end = async (which: { projectId?: string; deviceId?: string }) =>
        (await store().unregister('one', { ...which, mayEndProven: true }, now)).map(({ id }) => id)
      expect(await end({ projectId: 'other', deviceId: 'a' })).toEqual([])
      expect(await end({ projectId: 'p', deviceId: 'a' })).toEqual(['a'])
      expect(await end({ projectId: 'other' })).toEqual(['c'])
      expect(await end({})).toEqual(['b'])
      expect(await end({})).toEqual([])
      expect(await entries()).toEqual({ tokens: 0, registered: 0 })
    })

    it('ends a device that is gone only while it has that address', async () => {
      await register('one', device('a', { address: fcm('old') }))
      const name = { clientId: 'one', deviceId: 'a' }
      await register('one', device('a', { address: fcm('new') }))
      await store().gone(name, fcm('old'), now)
      expect(await idsOf('one')).toEqual(['a'])
      await store().gone(name, fcm('new'), now)
      expect(await idsOf('one')).toEqual([])
      expect(await store().countDevices('p', now)).toBe(0)
    })

    it('lists the devices of a project in pages, each once', async () => {
      const ids = Array.from({ length: 12 }, (_, at) => `d${at}`)
      for (const id of ids) await register(`client of ${id}`, device(id, { expiresAt: expiresAt + DAY }))
      await register('elsewhere', device('x', { projectId: 'other' }))
      const found: string[] = []
      for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
        const page = await store().listDevices('p', { limit: 5, now, ...(after !== undefined && { after }) })
        found.push(...page.devices.map(({ id }) => id))
        after = page.next
      }
      expect(found.toSorted()).toEqual(ids.toSorted())
    })

    it('forgets a registration at its end, and knows when there is none at all', async () => {
      expect(await store().hasDevices(now)).toBe(false)
      for (const id of ['p', 'default']) await register(id, device('a', { projectId: id, address: fcm(id) }))
      await store().changeProject('p', () => ({ id: 'p', createdAt: now, isOpen: true, credentials: {} }), {
        limit: 10,
        now,
      })
      await register('one', device('a'))
      expect(await store().hasDevices(now)).toBe(true)
      expect(await idsOf('one', expiresAt)).toEqual([])
      expect(await store().countDevices('p', expiresAt + 1)).toBe(0)
      expect(await store().hasDevices(expiresAt + 1)).toBe(false)
      // Also of the project that is there without a row.
      expect(await store().sweep(expiresAt + 1, 10)).toBe(3)
      expect(await entries()).toMatchObject({ registered: 0 })
    })

    it('counts and lists none of a project that was removed', async () => {
      const project = () => ({ id: 'p', createdAt: now, isOpen: true, credentials: {} })
      await store().changeProject('p', project, { limit: 10, now })
      for (const id of ['a', 'b']) await register('one', device(id))
      expect(await store().removeProject('p')).toBe(true)
      expect(await store().countDevices('p', now)).toBe(0)
      expect(await entries()).toMatchObject({ registered: 0 })
    })

    it('tells of changes', async () => {
      const told: string[] = []
      using _ = store().onDevices((clientId) => void told.push(clientId))
      await eventually(async () => {
        await register('one', device('a'))
        expect(told).toContain('one')
      })
    })

    it('restores devices, also twice', async () => {
      const placed = ['a', 'b'].map((id) => ({ clientId: 'one', ...device(id) }))
      for (let times = 0; times < 2; times++) await store().restoreDevices(placed, now)
      expect((await store().devices(['one'], now)).toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(placed)
      expect(await store().countDevices('p', now)).toBe(2)
    })
  })
}
