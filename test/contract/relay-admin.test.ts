/** One topic, as its operator looks at it and clears it: on every engine. */
import { describe, expect, it } from 'vitest'
import type { RelayAdmin } from '../../src/relay/store-admin.ts'
import { engines } from '../support/engines.ts'
import { client, hex, message } from './relay-samples.ts'

const NOW = Date.now()
const HOUR = 3_600_000

const clearAll = async (
  admin: RelayAdmin,
  topic: string,
  limit: number,
  only: { publisher?: string; payer?: string } = {},
) => {
  let removed = 0
  for (let after: number | undefined = 0; after !== undefined; ) {
    const part: Awaited<ReturnType<RelayAdmin['clear']>> = await admin.clear(topic, {
      after,
      limit,
      ...only,
    })
    removed += part.removed
    after = part.next
  }
  return removed
}

describe.each(engines)('a topic on $name', ({ open }) => {
  it('is shown with who fills it and who waits, is cleared in pieces, and goes on', async () => {
    await using stores = await open()
    const { relay, relayAdmin } = stores
    const topic = hex('a topic')
    const [reader, one, other] = [client('reader'), client('one'), client('other')]
    await relay.subscribe(reader, [topic], { now: NOW })
    const of = (publisher: string, n: number) =>
      message(topic, `${publisher} ${n}`, {
        ...{ publisher, publishedAt: NOW + n, expiresAt: NOW + HOUR },
        // Two of one address' clients, and the house.
        payer: n % 2 === 0 ? 'AddressName' : '',
      })
    await relay.publish([0, 1, 2, 3, 4, 5, 6].map((n) => of(one, n)))
    await relay.publish([7, 8].map((n) => of(other, n)))

    const full = await relayAdmin.report(topic, NOW)
    expect(full).toMatchObject({
      ...{ topic, messages: 9, oldestAt: NOW, newestAt: NOW + 8, publisherCount: 2, memberCount: 1 },
      publishers: [
        { publisher: one, messages: 7 },
        { publisher: other, messages: 2 },
      ],
      members: [{ clientId: reader, isSubscribed: true, behind: 9 }],
    })
    expect(full).toMatchObject({
      payerCount: 2,
      payers: [
        { payer: 'AddressName', messages: 5 },
        { payer: '', messages: 4 },
      ],
    })
    expect(full.publishers[0]?.bytes).toBe(7 * Buffer.byteLength(`${one} 0`))

    expect(await clearAll(relayAdmin, topic, 2, { publisher: other })).toBe(2)
    expect(await relayAdmin.report(topic, NOW)).toMatchObject({ messages: 7, publisherCount: 1 })
    expect(await clearAll(relayAdmin, topic, 2, { payer: 'AnotherName' })).toBe(0)
    expect(await clearAll(relayAdmin, topic, 2, { payer: 'AddressName' })).toBe(4)
    expect(await relayAdmin.report(topic, NOW)).toMatchObject({
      messages: 3,
      payers: [{ payer: '', messages: 3 }],
    })
    expect(await clearAll(relayAdmin, topic, 2, { payer: '', publisher: other })).toBe(0)
    expect(await clearAll(relayAdmin, topic, 2, { payer: '' })).toBe(3)
    await relay.publish([30, 31, 32].map((n) => of(one, n)))
    expect(await clearAll(relayAdmin, topic, 2)).toBe(3)
    expect(await relayAdmin.report(topic, NOW)).toMatchObject({
      ...{ messages: 0, bytes: 0, oldestAt: undefined, publishers: [] },
      members: [{ clientId: reader, isSubscribed: true }],
    })
    expect(await relayAdmin.report(hex('nobody knows it'), NOW)).toMatchObject({ messages: 0, members: [] })
    expect(await clearAll(relayAdmin, hex('nobody knows it'), 3)).toBe(0)

    expect(await relay.publish([of(one, 20)])).toMatchObject([{ outcome: 'stored' }])
    const page = { after: 0, limit: 10, maxBytes: 1_000_000, now: NOW }
    const { messages } = await relay.pending(reader, topic, page)
    expect(messages.map(({ message: said }) => said)).toEqual([`${one} 20`])
  })
})
