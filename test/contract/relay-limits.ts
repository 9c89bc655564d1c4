import { describe, expect, it } from 'vitest'
import type { MailboxLimits } from '../../src/relay/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { client, hex, MINUTE, message, stored, T, textsOf, topic } from './relay-samples.ts'

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

    it('refuses messages over the limit of messages, and keeps what it has', () =>
      within(three, async (stores) => {
        await fill(stores)
        expect(await outcome(stores, '4')).toBe('full')
        expect(await textsOf(stores.relay, alice, a)).toEqual(['1', '2', '3'])
      }))

    it('refuses messages over the limit of bytes', () =>
      within({ messages: 100, bytes: 1000 }, async (stores) => {
        expect(await outcome(stores, 'x'.repeat(600))).toBe('stored')
        expect(await outcome(stores, 'y'.repeat(401))).toBe('full')
        expect(await outcome(stores, 'y'.repeat(400))).toBe('stored')
        expect(await outcome(stores, 'z'.repeat(1001))).toBe('full')
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

    it('makes room by dropping the oldest that every subscriber has acknowledged', () =>
      within(three, async (stores) => {
        for (const one of [alice, bob]) await stores.relay.subscribe(one, [a])
        await fill(stores)
        const receipts = ['1', '2'].map((text) => ({ topic: a, id: hex(text) }))
        await stores.relay.acknowledge(alice, receipts)
        expect(await outcome(stores, '4')).toBe('full')
        await stores.relay.acknowledge(bob, receipts.slice(0, 1))
        expect(await outcome(stores, '4')).toBe('stored')
        expect(await textsOf(stores.relay, client('late'), a)).toEqual(['2', '3', '4'])
        expect(await textsOf(stores.relay, alice, a)).toEqual(['3', '4'])
        expect(await textsOf(stores.relay, bob, a)).toEqual(['2', '3', '4'])
        expect(await outcome(stores, '5')).toBe('full')
      }))

    it('drops nothing while nobody is subscribed, whoever acknowledged', () =>
      within(three, async (stores) => {
        await fill(stores)
        await stores.relay.acknowledge(
          alice,
          ['1', '2', '3'].map((text) => ({ topic: a, id: hex(text) })),
        )
        expect(await outcome(stores, '4')).toBe('full')
      }))

    it('does not wait for a client that left', () =>
      within(three, async (stores) => {
        for (const one of [alice, bob]) await stores.relay.subscribe(one, [a])
        await fill(stores)
        await stores.relay.acknowledge(alice, [{ topic: a, id: hex('1') }])
        await stores.relay.unsubscribe(bob, [a])
        expect(await outcome(stores, '4')).toBe('stored')
      }))

    it('counts what a subscriber published itself as something that it has', () =>
      within(three, async (stores) => {
        await stores.relay.subscribe(alice, [a])
        for (const text of ['1', '2', '3', '4', '5']) {
          expect(await outcome(stores, text, { publisher: alice })).toBe('stored')
        }
        expect(await textsOf(stores.relay, bob, a)).toEqual(['3', '4', '5'])
      }))

    it('does not count what has expired, wherever it stands, without a sweep', () =>
      within(three, async (stores) => {
        const short = { expiresAt: T + 10 }
        await stores.relay.publish([message(a, '1'), message(a, '2', short), message(a, '3', short)])
        expect(await outcome(stores, '4', { publishedAt: T + 9 })).toBe('full')
        expect(await outcome(stores, '4', { publishedAt: T + 10 })).toBe('stored')
        expect(await outcome(stores, '5', { publishedAt: T + 10 })).toBe('stored')
        expect(await outcome(stores, '6', { publishedAt: T + 10 })).toBe('full')
        expect(await textsOf(stores.relay, alice, a, { now: T + 10 })).toEqual(['1', '4', '5'])
      }))

    it('takes messages again after a sweep, and counts right', () =>
      within(three, async (stores) => {
        await fill(stores)
        await stores.relay.sweep(T + MINUTE, 100)
        const later = { publishedAt: T + MINUTE, expiresAt: T + 2 * MINUTE }
        for (const text of ['4', '5', '6']) expect(await outcome(stores, text, later)).toBe('stored')
        expect(await outcome(stores, '7', later)).toBe('full')
      }))
  })
}
