/** What waits for a client: topics, messages, and their heads. */
import type { Look } from '../../../storage/kv.ts'
import { ask, read } from '../../../storage/table.ts'
import { type Head, type RelayStore, type StoredMessage, WAITING_BATCH_SIZE } from '../../store.ts'
import { rangeEnd } from '../ranges.ts'
import { type Cursor, isDone } from './cursor-row.ts'
import type { MailboxDeps } from './deps.ts'
import {
  countOf,
  expiryAt,
  firstBehind,
  hashOf,
  idAt,
  identityOf,
  payerAt,
  publisherAt,
  seqAt,
  sizeAt,
} from './entries.ts'
import {
  messageKey,
  messageOf,
  pageKey,
  rowsOfClient,
  rowsOfTopic,
  type TopicRows,
  topicKey,
} from './rows.ts'
import { isForeign, type Topic } from './topic-row.ts'

type Verbs = Pick<RelayStore, 'waiting' | 'pending' | 'heads' | 'pick' | 'message'>

interface Reader {
  hash: number
  cursor: Cursor | undefined
  now: number
}

/** An entry that waits. */
interface Waiting {
  entries: Buffer
  nth: number
  seq: number
}

const cursorIn = (cursors: readonly Cursor[] | undefined, clientId: string): Cursor | undefined => {
  const { key } = identityOf(clientId)
  return cursors?.find((cursor) => cursor.key === key)
}

/** Those of `entries` behind `after` that wait; ends when `take` answers false. */
const walk = (
  entries: Buffer,
  after: number,
  { hash, cursor, now }: Reader,
  take: (waiting: Waiting) => boolean,
): boolean => {
  const acked = cursor?.acked ?? []
  for (let nth = firstBehind(entries, after); nth < countOf(entries); nth++) {
    if (publisherAt(entries, nth) === hash || expiryAt(entries, nth) <= now) continue
    const seq = seqAt(entries, nth)
    if (acked.length > 0 && rangeEnd(acked, seq) !== undefined) continue
    if (!take({ entries, nth, seq })) return false
  }
  return true
}

/** Gives `take` what waits behind `after`, in publish order, until it answers false. */
function* walkTopic(
  rows: TopicRows,
  clientId: string,
  { after, now }: { after: number; now: number },
  take: (waiting: Waiting) => boolean,
): Look<void> {
  const [{ value: topic }, { value: cursors }] = yield* ask([rows.row.get(), rows.cursors.get()])
  if (!topic || isForeign(topic, clientId)) return
  const reader = { hash: hashOf(clientId), cursor: cursorIn(cursors, clientId), now }
  const start = Math.max(after, reader.cursor?.cursor ?? 0)
  for (const { number, last } of topic.pages) {
    if (last <= start) continue
    const [{ value: entries }] = yield* ask([rows.pages.get(pageKey(number))])
    // Packed anew since: whoever asks again finds it.
    if (entries && !walk(entries, start, reader, take)) return
  }
  walk(topic.entries, start, reader, take)
}

/** The messages; those that are gone since are left out. */
function* messagesAt(rows: TopicRows, found: readonly Waiting[]): Look<StoredMessage[]> {
  if (found.length === 0) return []
  const keys = found.map(({ entries, nth }) => idAt(entries, nth))
  const [values] = yield* ask([rows.messages.getAll(keys)])
  const messages: StoredMessage[] = []
  for (let nth = 0; nth < found.length; nth++) {
    const [value, key] = [values[nth], keys[nth]]
    if (value && key && value.seq === found[nth]?.seq) messages.push(messageOf(rows.topic, key, value))
  }
  return messages
}

function* pendingIn(
  rows: TopicRows,
  clientId: string,
  { after, limit, maxBytes, now }: Parameters<Verbs['pending']>[2],
): Look<Awaited<ReturnType<Verbs['pending']>>> {
  for (let from = after; ; ) {
    const found: Waiting[] = []
    let [bytes, hasMore] = [0, false]
    yield* walkTopic(rows, clientId, { after: from, now }, (waiting) => {
      const size = sizeAt(waiting.entries, waiting.nth)
      hasMore = found.length >= limit || (found.length > 0 && bytes + size > maxBytes)
      if (hasMore) return false
      bytes += size
      found.push(waiting)
      return true
    })
    const messages = yield* messagesAt(rows, found)
    if (messages.length > 0 || !hasMore || found.length === 0) return { messages, hasMore }
    from = found.at(-1)?.seq ?? from
  }
}

function* headsIn(
  rows: TopicRows,
  clientId: string,
  { after, limit, now }: Parameters<Verbs['heads']>[2],
): Look<{ heads: Head[]; hasMore: boolean }> {
  const heads: Head[] = []
  let hasMore = false
  yield* walkTopic(rows, clientId, { after, now }, ({ entries, nth, seq }) => {
    hasMore = heads.length === limit
    if (hasMore) return false
    const publisher = publisherAt(entries, nth).toString(16)
    heads.push({ seq, payer: payerAt(entries, nth), publisher, size: sizeAt(entries, nth) })
    return true
  })
  return { heads, hasMore }
}

function* picked(
  rows: TopicRows,
  clientId: string,
  seqs: readonly number[],
  now: number,
): Look<StoredMessage[]> {
  const wanted = new Set(seqs)
  const found: Waiting[] = []
  const first = Math.min(...seqs) - 1
  yield* walkTopic(rows, clientId, { after: first, now }, (waiting) => {
    if (wanted.delete(waiting.seq)) found.push(waiting)
    return wanted.size > 0
  })
  const messages = yield* messagesAt(rows, found)
  const bySeq = new Map(messages.map((message) => [message.seq, message]))
  return seqs.flatMap((seq) => bySeq.get(seq) ?? [])
}

export const createPages = ({ kv }: MailboxDeps): Verbs => ({
  waiting: (clientId, now) => waitingTopics({ kv }, clientId, now),
  pending: (clientId, topic, page) => kv.look(() => pendingIn(rowsOfTopic(topic), clientId, page)),
  heads: (clientId, topic, page) => kv.look(() => headsIn(rowsOfTopic(topic), clientId, page)),
  pick: (clientId, topic, seqs, now) => kv.look(() => picked(rowsOfTopic(topic), clientId, seqs, now)),
  async message(topicText, id, now) {
    const rows = rowsOfTopic(topicText)
    const key = messageKey(id)
    const [{ value }] = await read(kv, [rows.messages.get(key)])
    const message = value && messageOf(topicText, key, value)
    return message && message.id === id && message.expiresAt > now ? message : undefined
  },
})

/** Whether something may wait; of older entries the last seq is enough. */
const waitsIn = ({ lastSeq, count, pages, entries }: Topic, reader: Reader): boolean => {
  const done = reader.cursor?.cursor ?? 0
  if (count === 0 || lastSeq <= done) return false
  return pages.some(({ last }) => last > done) || !walk(entries, done, reader, () => false)
}

async function* waitingTopics(
  { kv }: Pick<MailboxDeps, 'kv'>,
  clientId: string,
  now: number,
): AsyncIterable<string[]> {
  const { interests } = rowsOfClient(clientId)
  for (let from: Buffer | undefined; ; ) {
    const [keys] = await read(kv, [interests.keys({ limit: WAITING_BATCH_SIZE, ...(from && { from }) })])
    const topics = keys.map((key) => key.toString('hex'))
    const sets = topics.map(rowsOfTopic)
    const rows = await read(
      kv,
      sets.map(({ row }) => row.get()),
    )
    const cursors = await read(
      kv,
      sets.map((set) => set.cursors.get()),
    )
    const found = topics.filter((_, nth) => {
      const topic = rows[nth]?.value
      if (!topic?.subscribers.includes(clientId) || isForeign(topic, clientId)) return false
      return waitsIn(topic, { hash: hashOf(clientId), cursor: cursorIn(cursors[nth]?.value, clientId), now })
    })
    if (topics.length > 0) yield found
    const last = keys.at(-1)
    if (!last || keys.length < WAITING_BATCH_SIZE) return
    from = Buffer.concat([last, Buffer.from([0])])
    await new Promise((resolve) => setImmediate(resolve))
  }
}

export const createMemberships = ({ kv }: MailboxDeps) => ({
  async unsubscribedOf(clientId: string, wanted: readonly string[]): Promise<string[]> {
    const topics = [...new Set(wanted)]
    const { interests } = rowsOfClient(clientId)
    const found = await read(
      kv,
      topics.map((topic) => interests.get(topicKey(topic))),
    )
    return topics.filter((_, nth) => !found[nth]?.value)
  },
  async topicsOf(clientId: string, { after, limit }: { after?: string; limit: number }): Promise<string[]> {
    const from = after === undefined ? undefined : Buffer.concat([topicKey(after), Buffer.from([0])])
    const [keys] = await read(kv, [rowsOfClient(clientId).interests.keys({ limit, ...(from && { from }) })])
    return keys.map((key) => key.toString('hex'))
  },
  async isSubscribed(clientId: string, topicText: string): Promise<boolean> {
    const [{ value: topic }] = await read(kv, [rowsOfTopic(topicText).row.get()])
    if (!topic || isForeign(topic, clientId)) return false
    return topic.subscribers.includes(clientId)
  },
  /** Whether the client has acknowledged the message. */
  async hasDone(clientId: string, topicText: string, seq: number): Promise<boolean> {
    const [{ value: cursors }] = await read(kv, [rowsOfTopic(topicText).cursors.get()])
    const cursor = cursorIn(cursors, clientId)
    return cursor !== undefined && isDone(cursor, seq)
  },
})
