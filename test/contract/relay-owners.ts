import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SUBSCRIPTION_LEASE_MS } from '../../src/relay/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { client, hex, MINUTE, message, stored, T, textsOf, topic, waitingTopics } from './relay-samples.ts'

const [a, b] = [topic('a'), topic('b')]
const [owner, alice, bob] = [client('owner'), client('alice'), client('bob')]
const DAY = 86_400_000
const now = T

/** Topics that belong to a client, messages that nobody waits for, and subscriptions that end by themselves. */
export const relayOwnersContract = (engine: Engine): void => {
  describe(`what ends and what belongs to whom in the relay store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.relay
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    const own = () => store().subscribe(owner, [a], { now, exclusive: true })
    const acknowledge = (clientId: string, text: string) =>
      store().acknowledge(clientId, [{ topic: a, id: hex(text) }])

    describe('a topic with an owner', () => {
      it('is published to by everybody, and reaches the owner alone', async () => {
        await own()
        const { subscribers } = await stored(store(), message(a, '1', { publisher: alice }))
        expect(subscribers).toEqual([{ clientId: owner, caughtUp: true }])
        expect(await textsOf(store(), owner, a)).toEqual(['1'])
        expect(await textsOf(store(), bob, a)).toEqual([])
      })

      it('is left out of the subscriptions of others', async () => {
        await own()
        const answer = await store().subscribe(alice, [a, b], { now, limit: 10 })
        expect(answer).toEqual({ total: 1, owned: [a], crowded: [] })
        expect(await store().isSubscribed(alice, a)).toBe(false)
        expect(await store().topicsOf(alice, { limit: 10 })).toEqual([b])
        expect((await stored(store(), message(a, '1'))).subscribers).toHaveLength(1)
      })

      it('ends the subscriptions that others had, however many', async () => {
        const many = Array.from({ length: 1_100 }, (_, at) => client(`${at}`))
        await Promise.all([alice, ...many].map((one) => store().subscribe(one, [a, b], { now })))
        await stored(store(), message(a, 'before'))
        await own()
        expect(
          (await stored(store(), message(a, 'after'))).subscribers.map(({ clientId }) => clientId),
        ).toEqual([owner])
        for (const one of [alice, many[0] ?? '', many.at(-1) ?? '']) {
          expect(await store().topicsOf(one, { limit: 10 })).toEqual([b])
          expect(await textsOf(store(), one, a)).toEqual([])
          expect(await waitingTopics(store(), one)).toEqual([])
          expect((await store().subscribe(one, [], { now })).total).toBe(1)
        }
        await store().unsubscribe(owner, [a])
        expect(await store().isSubscribed(alice, a)).toBe(false)
      }, 60_000)

      it('takes no acknowledgement but the owner’s', async () => {
        await own()
        await store().publish([message(a, '1'), message(a, '2')])
        await acknowledge(alice, '1')
        await acknowledge(owner, '2')
        expect(await textsOf(store(), owner, a)).toEqual(['1'])
        await store().unsubscribe(owner, [a])
        expect(await textsOf(store(), alice, a)).toEqual(['1', '2'])
      })

      it('stays so over a restart, and until the owner leaves', async () => {
        await own()
        await stores.reopen()
        expect((await store().subscribe(alice, [a], { now })).owned).toEqual([a])
        await store().unsubscribe(alice, [a])
        expect((await store().subscribe(alice, [a], { now })).owned).toEqual([a])
        await store().unsubscribe(owner, [a])
        expect((await store().subscribe(alice, [a], { now })).owned).toEqual([])
        expect((await stored(store(), message(a, '1'))).subscribers.map(({ clientId }) => clientId)).toEqual([
          alice,
        ])
      })

      it('goes to the one who claims it last', async () => {
        await own()
        await store().subscribe(bob, [a], { now, exclusive: true })
        expect((await stored(store(), message(a, '1'))).subscribers.map(({ clientId }) => clientId)).toEqual([
          bob,
        ])
        expect(await store().isSubscribed(owner, a)).toBe(false)
      })
    })

    describe('a topic that nobody waits for', () => {
      const unattendedUntil = now + 10
      const stay = async (change = {}) => {
        await stored(store(), message(a, 'x', { unattendedUntil, publisher: alice, ...change }))
        return (await textsOf(store(), client('late'), a, { now: now + 11 })).length === 1
      }

      it('keeps a message for a shorter time', async () => {
        expect(await stay()).toBe(false)
        expect(await store().sweep(now + 11, 100)).toBe(1)
      })

      it('is one of the publisher alone, too', async () => {
        await store().subscribe(alice, [a], { now })
        expect(await stay()).toBe(false)
      })

      it('keeps it for its own time when another one is subscribed', async () => {
        await store().subscribe(bob, [a], { now })
        expect(await stay()).toBe(true)
      })

      it('keeps it for its own time when the publisher is trusted, and never longer', async () => {
        await stored(store(), message(a, 'trusted'))
        expect(await textsOf(store(), bob, a, { now: now + 11 })).toEqual(['trusted'])
        await stored(store(), message(b, 'short', { unattendedUntil: now + 100, expiresAt: now + 5 }))
        expect(await textsOf(store(), bob, b, { now: now + 6 })).toEqual([])
      })

      it('gives what it kept to one who comes in time', async () => {
        await stored(store(), message(a, 'x', { unattendedUntil, publisher: alice }))
        await store().subscribe(bob, [a], { now: now + 5 })
        expect(await textsOf(store(), bob, a, { now: now + 9 })).toEqual(['x'])
      })
    })

    describe('the subscriptions of a client that is not seen', () => {
      const topics = Array.from({ length: 25 }, (_, at) => topic(`${at}`))
      const over = now + SUBSCRIPTION_LEASE_MS + DAY
      const sweepAll = async (at: number) => {
        let all = 0
        for (let swept = 10; swept === 10; all += swept) swept = await store().sweep(at, 10)
        return all
      }

      it('end after their lease, a bounded piece at a time', async () => {
        await store().subscribe(alice, topics, { now })
        expect(await store().sweep(now + SUBSCRIPTION_LEASE_MS, 10)).toBe(0)
        expect(await store().sweep(over, 10)).toBe(10)
        expect(await sweepAll(over)).toBe(15)
        expect(await store().topicsOf(alice, { limit: 100 })).toEqual([])
        for (const one of topics) expect(await store().isSubscribed(alice, one)).toBe(false)
        expect(await sweepAll(over + DAY)).toBe(0)
      })

      it('stay when it is seen, and when it subscribes', async () => {
        await store().subscribe(alice, topics, { now })
        await store().subscribe(bob, topics, { now })
        await store().seen([alice, client('stranger')], now + 10 * DAY)
        await store().subscribe(bob, [a], { now: now + 10 * DAY })
        expect(await sweepAll(over)).toBe(0)
        expect(await sweepAll(over + 10 * DAY)).toBe(51)
      })

      it('are counted again from nothing when it comes back', async () => {
        await store().subscribe(alice, topics, { now })
        await sweepAll(over)
        expect(await store().subscribe(alice, [a], { now: over, limit: 1 })).toMatchObject({ total: 1 })
        await stored(store(), message(a, '1', { publishedAt: over, expiresAt: over + MINUTE }))
        expect(await textsOf(store(), alice, a, { now: over })).toEqual(['1'])
      })

      it('take the ownership of a topic with them', async () => {
        await own()
        await sweepAll(over)
        expect((await store().subscribe(alice, [a], { now: over })).owned).toEqual([])
      })

      it('never end because an earlier moment is stated later', async () => {
        await store().subscribe(alice, topics, { now: now + 10 * DAY })
        await store().seen([alice], now)
        await store().subscribe(alice, [a], { now })
        expect(await sweepAll(over)).toBe(0)
      })
    })

    it('says which topics a client would be new in', async () => {
      await store().subscribe(alice, [a], { now })
      expect(await store().unsubscribedOf(alice, [a, b, b])).toEqual([b])
      expect(await store().unsubscribedOf(bob, [])).toEqual([])
    })
  })
}
