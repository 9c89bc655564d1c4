import { createHash } from 'node:crypto'
import type { NewMessage, RelayStore, StoredMessage, Watch } from '../../src/relay/store.ts'

/** A moment to count from; the store never asks for the time itself. */
export const T = Date.UTC(2026, 0, 1)
export const MINUTE = 60_000

export const hex = (text: string): string => createHash('sha256').update(text).digest('hex')
export const topic = (label: string): string => hex(`topic ${label}`)
export const client = (label: string): string => `did:key:z6Mk${label}`

export const message = (of: string, text: string, change: Partial<NewMessage> = {}): NewMessage => ({
  topic: of,
  message: text,
  id: hex(text),
  tag: 4002,
  attestation: '',
  publisher: client('publisher'),
  publishedAt: T,
  expiresAt: T + MINUTE,
  payer: 'payer',
  ...change,
})

export const watchOf = (who: string, more: Partial<Watch> = {}): Watch => ({
  clientId: client(who),
  service: 'https://service.example',
  url: 'https://service.example/hook',
  type: 'subscriber',
  tags: [4000, 4002],
  statuses: ['accepted', 'queued'],
  expiresAt: T + MINUTE,
  issuedAt: T / 1000,
  state: 'active',
  refusals: 0,
  failingSince: 0,
  ...more,
})
/** Everything that waits for the client in the topic, read in pages. */
export const allPending = async (
  store: RelayStore,
  clientId: string,
  of: string,
  { now = T, limit = 100 } = {},
): Promise<StoredMessage[]> => {
  const found: StoredMessage[] = []
  for (;;) {
    const page = await store.pending(clientId, of, {
      after: found.at(-1)?.seq ?? 0,
      limit,
      maxBytes: 1_000_000,
      now,
    })
    found.push(...page.messages)
    if (!page.hasMore) return found
  }
}

export const textsOf = async (...args: Parameters<typeof allPending>): Promise<string[]> =>
  (await allPending(...args)).map(({ message: text }) => text)

export const waitingTopics = async (store: RelayStore, clientId: string, now = T): Promise<string[]> => {
  const found: string[] = []
  for await (const batch of store.waiting(clientId, now)) found.push(...batch)
  return found
}

/** The one publication of a message, which must have been stored. */
export const stored = async (store: RelayStore, one: NewMessage) => {
  const [publication] = await store.publish([one])
  if (publication?.outcome !== 'stored') throw new Error(`not stored: ${publication?.outcome}`)
  return publication
}
