/** Publishes messages: those of one topic are one verb, in their order. */
import type { PlacedVerb, Verb } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { type NewMessage, OWNED_FACTOR, type Publication, type Subscriber } from '../../store.ts'
import type { Cursor } from './cursor-row.ts'
import type { MailboxDeps } from './deps.ts'
import { expiryAt, hashOf, newEntry, seqAt } from './entries.ts'
import { type Bounds, OpenTopic, type Step } from './open-topic.ts'
import { expiryOf, type PreparedMessage, prepare, rowsOfTopic, setExpiry, type TopicRows } from './rows.ts'

/** Of one verb: others wait meanwhile. */
const MAX_VERB_MESSAGES = 100
const MAX_VERB_BYTES = 1024 * 1024

/** Where the number of a topic begins that nobody knows: beyond all that it ever gave, while it gives 256 a millisecond at most. */
const EPOCH_MS = 1_735_689_600_000
const SEQS_A_MS = 256

interface Shared {
  deps: MailboxDeps
  rows: TopicRows
  topic: OpenTopic
}

/** Moves the subscribers up to the new message; answers who is told. */
function* advanceAll(
  topic: OpenTopic,
  { publisher, seq, now }: { publisher: string; seq: number; now: number },
): Step<Subscriber[]> {
  const subscribers: Subscriber[] = []
  const changed: Cursor[] = []
  for (const clientId of topic.subscribers()) {
    const isOwn = clientId === publisher
    const before = topic.cursorOf(clientId)
    const next = yield* topic.advanced(clientId, before, isOwn ? seq : seq - 1, now)
    if (next !== before) changed.push(next)
    if (!isOwn) subscribers.push({ clientId, caughtUp: next.cursor >= seq - 1 })
  }
  topic.putCursors(changed)
  return subscribers
}

/** Whether the topic has the message; one that has expired is dropped. Pages are not looked through: its row says it, too. */
function* isDuplicate(
  { rows, topic }: Shared,
  { key, message: { publishedAt: now } }: PreparedMessage,
): Step<boolean> {
  const nth = topic.findInRow(key)
  if (nth < 0 && !topic.hasPages) return false
  if (nth >= 0) {
    const { entries } = topic.state
    if (expiryAt(entries, nth) > now) return true
    yield* topic.dropSeq(seqAt(entries, nth))
    return false
  }
  const [{ value: earlier }] = yield* ask([rows.messages.unlikely(key)])
  if (!earlier) return false
  if (expiryOf(earlier.body) > now) return true
  yield* topic.dropSeq(earlier.seq)
  return false
}

function* publishOne(shared: Shared, prepared: PreparedMessage): Step<Publication> {
  const { deps, rows, topic } = shared
  const { message, key, body, roomy, size } = prepared
  const { publisher, publishedAt: now, payer } = message
  if (yield* isDuplicate(shared, prepared)) return { outcome: 'duplicate' }
  const { limits } = deps
  const factor = topic.state.owner === '' ? 1 : OWNED_FACTOR
  const bounds: Bounds = { messages: limits.messages * factor, bytes: limits.bytes * factor }
  if (size > bounds.bytes) return { outcome: 'full' }
  const isOver = topic.state.count + 1 > bounds.messages || topic.state.bytes + size > bounds.bytes
  const displaced = isOver ? yield* topic.makeRoom(size, now, bounds) : 0
  const { lastSeq: previousSeq } = topic.state
  const isAttended = topic.subscribers().some((clientId) => clientId !== publisher)
  const { expiresAt: wanted, unattendedUntil = wanted } = message
  const expiresAt = isAttended ? wanted : Math.min(wanted, unattendedUntil)
  setExpiry(body, expiresAt)
  const seq = previousSeq > 0 ? previousSeq + 1 : deps.firstSeq((deps.clock.now() - EPOCH_MS) * SEQS_A_MS)
  topic.add(newEntry({ seq, expiresAt, size, publisher: hashOf(publisher), id: key, payer }), {
    seq,
    size,
    expiresAt,
  })
  topic.write(rows.messages.put({ key, value: { seq, body, roomy } }))
  const subscribers = yield* advanceAll(topic, { publisher, seq, now })
  return { outcome: 'stored', seq, previousSeq, subscribers, ...(displaced > 0 && { displaced }) }
}

interface Published {
  publications: Publication[]
  /** After a duplicate those for whom something waits: whoever was to be told at the first attempt may not have been. */
  waiting: string[]
}

const waitingIn = (topic: OpenTopic): string[] =>
  topic.subscribers().filter((clientId) => topic.cursorOf(clientId).cursor < topic.state.lastSeq)

const publishSome = (deps: MailboxDeps, rows: TopicRows, messages: readonly PreparedMessage[]) =>
  function* (): Verb<Published> {
    // Checked, although they are mostly not written: as they are remembered they may lack what another process was told.
    const [{ value }, { value: cursors }] = yield* ask([rows.row.get(), rows.cursors.get()])
    const topic = new OpenTopic(rows, value, cursors)
    const publications: Publication[] = []
    // Two equal ones of a call meet in the entries; the row of the first is not there yet.
    const ids = new Set<string>()
    for (const prepared of messages) {
      const { id } = prepared.message
      if (messages.length > 1 && ids.has(id)) {
        publications.push({ outcome: 'duplicate' })
        continue
      }
      const publication = yield* publishOne({ deps, rows, topic }, prepared)
      if (publication.outcome === 'stored') ids.add(id)
      publications.push(publication)
    }
    const isAnyDuplicate = publications.some(({ outcome }) => outcome === 'duplicate')
    const waiting = isAnyDuplicate ? waitingIn(topic) : []
    return { answer: { publications, waiting }, writes: yield* topic.finish() }
  }

interface Share {
  rows: TopicRows
  messages: PreparedMessage[]
  nths: number[]
  bytes: number
}

/** Those of one topic together, in order, as long as they fit. */
const shared = (batch: readonly NewMessage[]): Share[] => {
  const shares: Share[] = []
  const open = new Map<string, Share>()
  for (const [nth, message] of batch.entries()) {
    let share = open.get(message.topic)
    if (
      !share ||
      share.messages.length >= MAX_VERB_MESSAGES ||
      share.bytes + message.message.length > MAX_VERB_BYTES
    ) {
      share = { rows: rowsOfTopic(message.topic), messages: [], nths: [], bytes: 0 }
      open.set(message.topic, share)
      shares.push(share)
    }
    share.messages.push(prepare(message))
    share.nths.push(nth)
    share.bytes += message.message.length
  }
  return shares
}

export const createPublish =
  (deps: MailboxDeps) =>
  async (batch: readonly NewMessage[]): Promise<Publication[]> => {
    const [first] = batch
    if (!first) return []
    const shares = shared(batch)
    const verbs = shares.map(
      ({ rows, messages }): PlacedVerb<Published> => ({
        partition: rows.partition,
        verb: publishSome(deps, rows, messages),
      }),
    )
    const answers = await deps.kv.run(verbs, first.publishedAt)
    const publications = new Array<Publication>(batch.length)
    for (const [which, { rows, nths }] of shares.entries()) {
      const answer = answers[which]
      for (const [at, nth] of nths.entries()) {
        const publication = answer?.publications[at] ?? { outcome: 'full' }
        publications[nth] = publication
        if (publication.outcome === 'stored' && deps.wakes)
          deps.wakes.send(
            rows.topic,
            publication.subscribers.map(({ clientId }) => clientId),
          )
      }
      if (answer && answer.waiting.length > 0)
        deps.wakes?.again({ topic: rows.topic, clientIds: answer.waiting })
    }
    return publications
  }
