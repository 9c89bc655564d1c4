import { describe, expect, it } from 'vitest'
import type { MailboxLimits } from '../../src/relay/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import {
  allPending,
  client,
  hex,
  MINUTE,
  message,
  stored,
  T,
  textsOf,
  topic,
  waitingTopics,
} from './relay-samples.ts'

const a = topic('a')
const [alice, bob] = [client('alice'), client('bob')]

/** What happens when a topic is full. */
export const relayLimitsContract = (engine: Engine): void => {
  describe(`a full topic of the relay store on ${engine.name}`, () => {
    const within = async (mailbox: MailboxLimits, check: (stores: TestStores) => Promise<void>) => {
      await using stores = await engine.open({ mailbox })
      await check(stores)
    }
    const three = { messages: 3, bytes: 1_000_000 }
    const fill = ({ relay }: TestStores) => relay.publish([message(a, '1'), message(a, '2'), message(a, '3')])
    const outcome = async ({ relay }: TestStores, text: string, change = {}) =>
      (await relay.publish([message(a, text, change)]))[0]?.outcome

    it('takes a message over the limit, and the oldest goes', () =>
      within(three, async (stores) => {
        await fill(stores)
        expect(await stored(stores.relay, message(a, '4'))).toMatchObject({ displaced: 1 })
        expect(await textsOf(stores.relay, alice, a)).toEqual(['2', '3', '4'])
      }))

    it('counts bytes, too, and refuses what is larger than all of it', () =>
      within({ messages: 100, bytes: 1000 }, async (stores) => {
        expect(await outcome(stores, 'x'.repeat(600))).toBe('stored')
        expect(await outcome(stores, 'y'.repeat(400))).toBe('stored')
        expect(await outcome(stores, 'z'.repeat(1001))).toBe('full')
        expect(await allPending(stores.relay, alice, a)).toHaveLength(2)
        expect(await outcome(stores, 'z')).toBe('stored')
        expect(await textsOf(stores.relay, alice, a)).toEqual(['y'.repeat(400), 'z'])
      }))

    it('loses the oldest of the payer who has most, and nobody else’s', () =>
      within({ messages: 20, bytes: 1_000_000 }, async (stores) => {
        const small = ['a', 'b', 'c', 'd'].map((payer) => message(a, `of ${payer}`, { payer }))
        await stores.relay.publish(small)
        for (let at = 0; at < 100; at++) {
          expect(await outcome(stores, `flood ${at}`, { payer: 'flooder' })).toBe('stored')
        }
        expect(await outcome(stores, 'newcomer', { payer: 'newcomer' })).toBe('stored')
        const left = await textsOf(stores.relay, alice, a)
        expect(left).toEqual(expect.arrayContaining(['of a', 'of b', 'of c', 'of d', 'newcomer', 'flood 99']))
        expect(left.length).toBeLessThanOrEqual(20)
        expect(left).not.toContain('flood 0')
      }))

    it('loses the largest of a payer by bytes, where bytes are what is full', () =>
      within({ messages: 1000, bytes: 10_000 }, async (stores) => {
        for (let at = 0; at < 20; at++) await outcome(stores, `small ${at}`, { payer: 'small' })
        for (let at = 0; at < 20; at++) await outcome(stores, `${at}${'x'.repeat(2_000)}`, { payer: 'large' })
        const left = await textsOf(stores.relay, alice, a)
        expect(left.filter((text) => text.startsWith('small'))).toHaveLength(20)
        expect(left.length).toBeGreaterThan(20)
      }))

    it('makes room in one go for a tenth of its limit', () =>
      within({ messages: 100, bytes: 1_000_000 }, async (stores) => {
        const displaced: number[] = []
        for (let at = 0; at < 140; at++) {
          displaced.push((await stored(stores.relay, message(a, `${at}`))).displaced ?? 0)
        }
        const walks = displaced.filter((count) => count > 0)
        expect(walks.length).toBeLessThanOrEqual(5)
        expect(walks.every((count) => count >= 9)).toBe(true)
      }))

    it('holds no room for a subscriber who never acknowledges', () =>
      within(three, async (stores) => {
        await stores.relay.subscribe(alice, [a], { now: T })
        for (let at = 0; at < 20; at++) expect(await outcome(stores, `${at}`)).toBe('stored')
        expect(await textsOf(stores.relay, alice, a)).toEqual(['17', '18', '19'])
        expect(await waitingTopics(stores.relay, alice)).toEqual([a])
      }))

    it('still knows a retry for a duplicate', () =>
      within(three, async (stores) => {
        await fill(stores)
        expect(await outcome(stores, '2')).toBe('duplicate')
      }))

    it('is no other topic’s concern', () =>
      within(three, async (stores) => {
        await fill(stores)
        await stored(stores.relay, message(topic('b'), '1'))
      }))

    it('makes room first by dropping what every subscriber has acknowledged', () =>
      within(three, async (stores) => {
        for (const one of [alice, bob]) await stores.relay.subscribe(one, [a], { now: T })
        await fill(stores)
        const receipts = [{ topic: a, id: hex('1') }]
        for (const one of [alice, bob]) await stores.relay.acknowledge(one, receipts)
        const publication = await stored(stores.relay, message(a, '4', { payer: 'other' }))
        expect(publication.displaced).toBeUndefined()
        expect(await textsOf(stores.relay, alice, a)).toEqual(['2', '3', '4'])
      }))

    it('gives a topic that is owned four times the room', () =>
      within(three, async (stores) => {
        await stores.relay.subscribe(alice, [a], { now: T, exclusive: true })
        for (let at = 0; at < 12; at++) await stored(stores.relay, message(a, `${at}`))
        expect(await textsOf(stores.relay, alice, a)).toHaveLength(12)
      }))

    it('has room for so many members, and for those who are trusted', () =>
      within({ messages: 100, bytes: 1_000_000, members: 2 }, async ({ relay }) => {
        const how = { now: T, limit: 10 }
        await relay.subscribe(alice, [a], how)
        await relay.subscribe(bob, [a], how)
        const late = client('late')
        const b = topic('b')
        expect(await relay.subscribe(late, [a, b], how)).toEqual({ total: 1, owned: [], crowded: [a] })
        expect(await relay.topicsOf(late, { limit: 10 })).toEqual([b])
        expect(await relay.subscribe(alice, [a], how)).toMatchObject({ crowded: [] })
        await stored(relay, message(a, '1'))
        await relay.acknowledge(client('passer-by'), [{ topic: a, id: hex('1') }])
        expect(await textsOf(relay, client('passer-by'), a)).toEqual(['1'])
        await relay.subscribe(client('house'), [a], { now: T })
        expect(await relay.isSubscribed(client('house'), a)).toBe(true)
      }))

    it('counts what a subscriber published itself as something that it has', () =>
      within(three, async (stores) => {
        await stores.relay.subscribe(alice, [a], { now: T })
        for (const text of ['1', '2', '3', '4', '5']) {
          expect(await outcome(stores, text, { publisher: alice })).toBe('stored')
        }
        expect(await textsOf(stores.relay, bob, a)).toEqual(['3', '4', '5'])
      }))

    it('does not count what has expired, wherever it stands, without a sweep', () =>
      within(three, async (stores) => {
        const short = { expiresAt: T + 10 }
        await stores.relay.publish([message(a, '1'), message(a, '2', short), message(a, '3', short)])
        expect(await outcome(stores, '4', { publishedAt: T + 10 })).toBe('stored')
        expect(await outcome(stores, '5', { publishedAt: T + 10 })).toBe('stored')
        expect(await textsOf(stores.relay, alice, a, { now: T + 10 })).toEqual(['1', '4', '5'])
      }))

    it('takes messages again after a sweep, and counts right', () =>
      within(three, async (stores) => {
        await fill(stores)
        await stores.relay.sweep(T + MINUTE, 100)
        const later = { publishedAt: T + MINUTE, expiresAt: T + 2 * MINUTE }
        for (const text of ['4', '5', '6']) {
          expect((await stored(stores.relay, message(a, text, later))).displaced).toBeUndefined()
        }
        expect((await stored(stores.relay, message(a, '7', later))).displaced).toBe(1)
      }))
  })
}
