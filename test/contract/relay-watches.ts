import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Watch } from '../../src/relay/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { client, hex, MINUTE, message, stored, T, topic } from './relay-samples.ts'

const watchOf = (who: string, more: Partial<Watch> = {}): Watch => ({
  clientId: client(who),
  service: 'https://service.example',
  url: 'https://service.example/hook',
  type: 'subscriber',
  tags: [4000, 4002],
  statuses: ['accepted', 'queued'],
  expiresAt: T + MINUTE,
  ...more,
})
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
      await store().unwatch(watchOf('a'))
      await store().unwatch(watchOf('nobody'))
      expect(await store().watches([client('a')], T)).toEqual([other])
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
