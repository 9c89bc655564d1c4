import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Watch } from '../../src/relay/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { client, hex, MINUTE, message, stored, T, topic, watchOf } from './relay-samples.ts'

const bounds = { now: T, limit: 64 }

/** Webhooks that are told of a client's messages, and the look at a single message that they need. */
export const relayWatchesContract = (engine: Engine): void => {
  describe(`watches on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.relay
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('gives back what was kept, of the clients that are asked for, also after a restart', async () => {
      expect(await store().hasWatches(T)).toBe(false)
      const [a, b] = [watchOf('a'), watchOf('b', { type: 'publisher', statuses: ['delivered'] })]
      for (const watch of [a, b, watchOf('c')]) await store().watch(watch, bounds)
      expect(await store().watches([client('a'), client('b'), client('nobody')], T)).toEqual(
        expect.arrayContaining([a, b]),
      )
      await stores.reopen()
      expect(await store().watches([client('a')], T)).toEqual([a])
      expect(await store().hasWatches(T)).toBe(true)
    })

    it('replaces the watch of the same service and URL, and keeps others beside it', async () => {
      await store().watch(watchOf('a'), bounds)
      const other = watchOf('a', { url: 'https://service.example/other' })
      const elsewhere = watchOf('a', { service: 'https://elsewhere.example' })
      const again = watchOf('a', { tags: [7], type: 'publisher', expiresAt: T + 2 * MINUTE })
      for (const watch of [other, elsewhere, again]) await store().watch(watch, bounds)
      const kept = await store().watches([client('a')], T)
      expect(kept).toHaveLength(3)
      expect(kept).toEqual(expect.arrayContaining([other, elsewhere, again]))
    })

    it('ends one watch and no other', async () => {
      const other = watchOf('a', { url: 'https://service.example/other' })
      await store().watch(watchOf('a'), bounds)
      await store().watch(other, bounds)
      const end = watchOf('a', { state: 'ended' })
      await store().watch(end, bounds)
      await store().watch(watchOf('nobody', { state: 'ended' }), bounds)
      expect(await store().watches([client('a')], T)).toEqual([other])
      expect(await store().watches([client('nobody')], T)).toEqual([])
      expect(await store().watches([client('a')], T, true)).toEqual(expect.arrayContaining([other, end]))
    })

    it('believes the newest word of a watch, also after its end, for as long as that is remembered', async () => {
      const at = (seconds: number, more: Partial<Watch> = {}) =>
        watchOf('a', { issuedAt: T / 1000 + seconds, ...more })
      const older = { code: 'jwt_expired' }
      await store().watch(at(5), bounds)
      await expect(store().watch(at(4, { tags: [1] }), bounds)).rejects.toMatchObject(older)
      await expect(store().watch(at(4, { state: 'ended' }), bounds)).rejects.toMatchObject(older)
      await store().watch(at(5, { state: 'ended' }), bounds)
      await stores.reopen()
      for (const seconds of [0, 4, 5]) {
        await expect(store().watch(at(seconds), bounds)).rejects.toMatchObject(older)
      }
      await store().watch(at(6, { state: 'ended', expiresAt: T + 2 * MINUTE }), bounds)
      await expect(store().watch(at(6), { ...bounds, now: T + MINUTE })).rejects.toMatchObject(older)
      await store().watch(at(7, { expiresAt: T + 9 * MINUTE }), bounds)
      expect(await store().watches([client('a')], T)).toMatchObject([{ issuedAt: T / 1000 + 7 }])
    })

    it('remembers so many ends, beside those that are live', async () => {
      const named = (at: number, more: Partial<Watch> = {}) =>
        watchOf('a', { url: `https://service.example/${at}`, ...more })
      const two = { now: T, limit: 2 }
      for (let at = 0; at < 4; at++) {
        await store().watch(named(at, { state: 'ended', expiresAt: T + (at + 1) * MINUTE }), two)
      }
      const live = [named(8), named(9)]
      for (const watch of live) await store().watch(watch, two)
      await expect(store().watch(named(10), two)).rejects.toMatchObject({ code: 'rate_limited' })
      const all = await store().watches([client('a')], T, true)
      expect(all.map(({ url }) => url.slice(-1)).sort()).toEqual(['2', '3', '8', '9'])
    })

    it('keeps how a watch is doing when it is registered again, and forgets one that is gone', async () => {
      const asked = watchOf('a', { state: 'asked', tags: [7] })
      await store().watch(asked, bounds)
      await store().changeWatch(asked, { state: 'active', refusals: 3, failingSince: T - 1 })
      await store().watch({ ...asked, issuedAt: asked.issuedAt + 1, tags: [8] }, bounds)
      await stores.reopen()
      expect(await store().watches([client('a')], T)).toEqual([
        watchOf('a', { issuedAt: asked.issuedAt + 1, tags: [8], refusals: 3, failingSince: T - 1 }),
      ])
      await store().changeWatch(watchOf('nobody'), { refusals: 1 })
      await store().changeWatch(asked, 'gone')
      expect(await store().watches([client('a'), client('nobody')], T, true)).toEqual([])
    })

    it('knows nothing of a watch from the instant on at which it expires', async () => {
      await store().watch(watchOf('a'), bounds)
      expect(await store().watches([client('a')], T + MINUTE - 1)).toHaveLength(1)
      expect(await store().watches([client('a')], T + MINUTE)).toEqual([])
      expect(await store().hasWatches(T + MINUTE)).toBe(false)
      const renewed = watchOf('a', { expiresAt: T + 3 * MINUTE })
      await store().watch(watchOf('b'), bounds)
      await store().watch(renewed, { now: T + MINUTE, limit: 64 })
      await store().sweep(T + 2 * MINUTE, 100)
      expect(await store().watches([client('a'), client('b')], T + 2 * MINUTE)).toEqual([renewed])
    })

    it('has room for so many live ones, also when they come at once', async () => {
      const some = Array.from({ length: 8 }, (_, at) =>
        watchOf('a', { url: `https://service.example/${at}` }),
      )
      const outcomes = await Promise.allSettled(
        some.map((watch) => store().watch(watch, { now: T, limit: 5 })),
      )
      const refused = outcomes.filter(({ status }) => status === 'rejected')
      expect(refused).toHaveLength(3)
      expect(refused[0]).toMatchObject({ reason: { code: 'rate_limited' } })
      const [one] = await store().watches([client('a')], T)
      if (!one) throw new Error('nothing was kept')
      // Replacing is not one more, other clients have room of their own, and what is expired takes none.
      await store().watch({ ...one, tags: [1] }, { now: T, limit: 5 })
      await store().watch(watchOf('b'), { now: T, limit: 5 })
      const later = { now: T + MINUTE, limit: 5 }
      const late = watchOf('a', { url: 'https://service.example/late', expiresAt: T + 2 * MINUTE })
      await store().watch(late, later)
      expect(await store().watches([client('a')], T + MINUTE)).toEqual([late])
    })

    it('keeps the newest word and the bound of a hundred racers', async () => {
      const racers = Array.from({ length: 100 }, (_, at) => at)
      const words = racers.map((at) => watchOf('a', { issuedAt: T / 1000 + at, tags: [at] }))
      const others = racers.map((at) => watchOf('b', { url: `https://service.example/${at}` }))
      const two = { now: T, limit: 2 }
      const outcomes = await Promise.allSettled([
        ...words.toReversed().map((watch) => store().watch(watch, two)),
        ...others.map((watch) => store().watch(watch, two)),
      ])
      expect(await store().watches([client('a')], T)).toEqual(words.slice(-1))
      expect(outcomes.slice(100).filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
      expect(await store().watches([client('b')], T)).toHaveLength(2)
      const changes = [{ refusals: 3 }, { failingSince: T - 1 }]
      await Promise.all(changes.map((change) => store().changeWatch(watchOf('a'), change)))
      expect(await store().watches([client('a')], T)).toMatchObject([{ refusals: 3, failingSince: T - 1 }])
    })

    it('says that there is a watch for as long as any of many lasts, also when they come at once', async () => {
      const ends = Array.from({ length: 100 }, (_, at) => T + 1 + ((at * 37) % 100))
      await Promise.all(
        ends.map((expiresAt, at) => store().watch(watchOf(`${at}`, { expiresAt }), { now: T, limit: 1 })),
      )
      expect(await store().hasWatches(T + 99)).toBe(true)
      expect(await store().hasWatches(T + 100)).toBe(false)
      await store().watch(watchOf('a', { expiresAt: T + 50, state: 'ended' }), bounds)
      await store().changeWatch(watchOf('99'), 'gone')
      await stores.reopen()
      expect(await store().hasWatches(T + 99)).toBe(true)
    })

    it('tells listeners of a change before it is answered, and not of what changed nothing', async () => {
      const told: string[] = []
      using _listening = store().onWatch((clientId) => told.push(clientId))
      await store().watch(watchOf('a'), bounds)
      expect(told).toEqual([client('a')])
      await store().changeWatch(watchOf('a'), { refusals: 1 })
      await store().watch(watchOf('a', { state: 'ended' }), bounds)
      expect(told).toHaveLength(3)
      await store().changeWatch(watchOf('a'), 'gone')
      await expect(store().watch(watchOf('a'), bounds)).rejects.toMatchObject({ code: 'jwt_expired' })
      expect(told).toHaveLength(3)
    })

    it('finds a live message by its id', async () => {
      const one = message(topic('t'), 'text', { attestation: 'proof', tag: 7 })
      const { seq } = await stored(store(), one)
      expect(await store().message(one.topic, one.id, T)).toEqual({ ...one, seq })
      await store().acknowledge(client('a'), [one])
      expect(await store().message(one.topic, one.id, T)).toEqual({ ...one, seq })
      expect(await store().message(one.topic, hex('another'), T)).toBeUndefined()
      expect(await store().message(topic('other'), one.id, T)).toBeUndefined()
      expect(await store().message(one.topic, one.id, one.expiresAt)).toBeUndefined()
    })
  })
}
