import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PushProject } from '../../src/push/store.ts'
import { eventually } from '../support/eventually.ts'
import type { Engine, TestStores } from '../support/stores.ts'

/** What push may rely on of projects, and of processes with their clients, whatever the engine. */
export const pushProjectsContract = (engine: Engine): void => {
  describe(`projects and processes of push on ${engine.name}`, () => {
    let stores: TestStores
    const now = Date.now()
    const store = () => stores.push
    const fresh = (id: string): PushProject => ({ id, createdAt: now, isOpen: true, credentials: {} })
    const bounds = { limit: 3, now }

    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('gives a project back as it is, and changes it for one after the other', async () => {
      const sealed = { id: 'c', sealed: 'sealed', shown: { topic: 'é' }, setAt: now }
      const stopped = { ...sealed, stopped: { at: now, reason: 'HTTP 403' } }
      const project = { ...fresh('p'), isOpen: false, credentials: { fcm: sealed, apns: stopped } }
      await store().changeProject('p', () => project, bounds)
      await stores.reopen()
      expect(await store().project('p')).toEqual(project)
      const count = (one: PushProject | undefined) => ({
        ...(one ?? fresh('n')),
        createdAt: (one?.createdAt ?? 0) + 1,
      })
      await Promise.all(Array.from({ length: 20 }, () => store().changeProject('n', count, bounds)))
      expect((await store().project('n'))?.createdAt).toBe(20)
    })

    it('has at most so many projects, and makes none where nothing is to be changed', async () => {
      expect(await store().changeProject('nobody', () => undefined, bounds)).toBeUndefined()
      for (const id of ['a', 'b', 'c']) await store().changeProject(id, () => fresh(id), bounds)
      const more = store().changeProject('d', () => fresh('d'), bounds)
      await expect(more).rejects.toMatchObject({ code: 'quota_reached' })
      expect((await store().projects()).map(({ id }) => id)).toEqual(['a', 'b', 'c'])
      expect([await store().removeProject('b'), await store().removeProject('b')]).toEqual([true, false])
      await store().changeProject('d', () => fresh('d'), bounds)
    })

    it('tells of changed projects', async () => {
      const told: string[] = []
      using _ = store().onProject((id) => void told.push(id))
      await eventually(async () => {
        await store().changeProject('p', () => fresh('p'), bounds)
        expect(told).toContain('p')
      })
    })

    it('has one VAPID key, the first, whoever starts at the same time', async () => {
      const keys = await Promise.all(['a', 'b', 'c'].map((key) => store().vapidKey(key)))
      expect(new Set(keys).size).toBe(1)
      await stores.reopen()
      expect(await store().vapidKey('later')).toBe(keys[0])
    })

    it('knows processes that did not say in time that they live, with their clients', async () => {
      await store().alive('lives', now + 1_000)
      await store().alive('died', now - 1)
      expect(await store().dead(now)).toEqual(['died'])
      const at = (clientId: string, processId: string) => ({ clientId, processId, since: now, silent: [] })
      for (const one of ['a', 'b']) await store().connected(at(one, 'died'))
      await store().connected(at('a', 'lives'))
      await stores.reopen()
      expect((await store().clientsOf('died', 10)).toSorted()).toEqual(['a', 'b'])
      expect(await store().connections(['a', 'b', 'nobody'])).toHaveLength(3)
      await store().disconnected({ clientId: 'a', processId: 'died' })
      await store().disconnected({ clientId: 'b', processId: 'died' })
      expect(await store().clientsOf('died', 10)).toEqual([])
      expect(await store().connections(['a', 'b'])).toEqual([at('a', 'lives')])
      await store().buried('died')
      expect(await store().dead(now)).toEqual([])
    })

    it('remembers which messages must not wake a connected client, the last of them', async () => {
      const name = { clientId: 'a', processId: 'one' }
      await store().silence(name, 'nobody is there')
      await store().connected({ ...name, since: now, silent: [] })
      const ids = Array.from({ length: 70 }, (_, at) => `m${at}`)
      for (const id of ids) await store().silence(name, id)
      const [connection] = await store().connections(['a'])
      expect(connection?.silent).toEqual(ids.slice(-64))
    })
  })
}
