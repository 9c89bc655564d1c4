/** What waits for a client: topics, messages, and their heads. */
import { type Head, type RelayStore, type StoredMessage, WAITING_BATCH_SIZE } from '../../../relay/store.ts'
import { behind, endOf, hash, key, name, named, number } from '../../bytes.ts'
import { isDone } from './cursors.ts'
import type { Mailboxes } from './mailboxes.ts'
import {
  decodeMessage,
  expiryOfRow,
  type Member,
  payerOfRow,
  publishedBy,
  publisherOfRow,
  sizeOfRow,
} from './rows.ts'

type Verbs = Pick<RelayStore, 'waiting' | 'pending' | 'heads' | 'pick' | 'message'>
type Reader = { client: Buffer; member: Member | undefined; now: number }

/** Whether a message still waits for the client. */
const isDue = (row: Buffer, seq: number, { client, member, now }: Reader): boolean =>
  expiryOfRow(row) > now && !publishedBy(row, client) && !(member && isDone(member, seq))

export const createPages = (mailboxes: Mailboxes): Verbs => {
  const { memberOf, isForeign } = mailboxes
  const { messages, ids } = mailboxes.tables

  /** What waits for the client behind `after`, in publish order; read lazily, row by row. */
  function* waitingRows(clientId: string, topicText: string, after: number, now: number) {
    const topic = hash(topicText)
    const client = name(clientId)
    if (isForeign(topic, client)) return
    const member = memberOf(topic, client)
    const start = key(topic, number(Math.max(after, member?.cursor ?? 0) + 1))
    for (const { key: at, value } of messages.getRange({ start, end: endOf(topic) })) {
      const seq = at.readDoubleBE(32)
      if (isDue(value, seq, { client, member, now })) yield { seq, value }
    }
  }

  return {
    waiting: (clientId) => waitingTopics(mailboxes.tables, clientId),

    async pending(clientId, topicText, { after, limit, maxBytes, now }) {
      const found: StoredMessage[] = []
      let bytes = 0
      // Leaving the loop early costs nothing.
      for (const { seq, value } of waitingRows(clientId, topicText, after, now)) {
        const size = sizeOfRow(value)
        if (found.length >= limit || (found.length > 0 && bytes + size > maxBytes)) {
          return { messages: found, hasMore: true }
        }
        bytes += size
        found.push(decodeMessage(value, topicText, seq))
      }
      return { messages: found, hasMore: false }
    },

    async heads(clientId, topicText, { after, limit, now }) {
      const heads: Head[] = []
      for (const { seq, value } of waitingRows(clientId, topicText, after, now)) {
        if (heads.length === limit) return { heads, hasMore: true }
        const [payer, publisher] = [payerOfRow(value), publisherOfRow(value)]
        heads.push({ seq, payer, publisher, size: sizeOfRow(value) })
      }
      return { heads, hasMore: false }
    },

    async pick(clientId, topicText, seqs, now) {
      const topic = hash(topicText)
      const client = name(clientId)
      if (isForeign(topic, client)) return []
      const member = memberOf(topic, client)
      return seqs.flatMap((seq) => {
        const row = messages.get(key(topic, number(seq)))
        return row && isDue(row, seq, { client, member, now }) ? [decodeMessage(row, topicText, seq)] : []
      })
    },

    async message(topicText, id, now) {
      const topic = hash(topicText)
      const seq = ids.get(key(topic, hash(id)))?.readDoubleBE()
      const row = seq === undefined ? undefined : messages.get(key(topic, number(seq)))
      if (seq === undefined || !row || expiryOfRow(row) <= now) return undefined
      return decodeMessage(row, topicText, seq)
    },
  }
}

async function* waitingTopics(
  { interests, topics, members }: Mailboxes['tables'],
  clientId: string,
): AsyncIterable<string[]> {
  const client = name(clientId)
  const end = endOf(named(clientId))
  let start = named(clientId)
  for (;;) {
    const batch = [...interests.getKeys({ start, end, limit: WAITING_BATCH_SIZE })]
    const found: string[] = []
    for (const at of batch) {
      const topic = at.subarray(at.length - 32)
      const lastSeq = topics.get(topic)?.[0] ?? 0
      if (lastSeq > (members.get(key(topic, client))?.[1] ?? 0)) found.push(topic.toString('hex'))
    }
    if (batch.length > 0) yield found
    const last = batch.at(-1)
    if (last === undefined || batch.length < WAITING_BATCH_SIZE) return
    start = behind(last)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
