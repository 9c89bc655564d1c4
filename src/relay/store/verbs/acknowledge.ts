/** Acknowledges messages: all that is said of one topic in one turn is one verb. */
import type { PlacedVerb, Verb } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import type { Receipt } from '../../store.ts'
import { addToRanges, rangeEnd } from '../ranges.ts'
import { type Cursor, newCursor } from './cursor-row.ts'
import type { MailboxDeps } from './deps.ts'
import { findId, identityOf, seqAt } from './entries.ts'
import { OpenTopic, type Step } from './open-topic.ts'
import { messageKey, rowsOfTopic, type TopicRows } from './rows.ts'
import { isForeign, type Topic } from './topic-row.ts'

interface Acknowledged {
  clientId: string
  receipts: readonly Receipt[]
}

/** Where the messages are by their ids, as far as it is not said. Entries may be old ones, so what they lack is asked for. */
function* seqsOf(
  rows: TopicRows,
  topic: Topic | undefined,
  all: readonly Acknowledged[],
): Step<Map<string, number>> {
  const seqs = new Map<string, number>()
  const missing = new Map<string, Buffer>()
  for (const { receipts } of all)
    for (const { id, seq } of receipts) {
      if (seq !== undefined || seqs.has(id) || missing.has(id)) continue
      const key = messageKey(id)
      const nth = topic ? findId(topic.entries, key) : -1
      if (topic && nth >= 0) seqs.set(id, seqAt(topic.entries, nth))
      else missing.set(id, key)
    }
  if (missing.size === 0) return seqs
  const ids = [...missing.keys()]
  const found = yield* ask([...missing.values()].map((key) => rows.messages.hint(key)))
  for (const [nth, id] of ids.entries()) {
    const seq = found[nth]?.value?.seq
    if (seq !== undefined) seqs.set(id, seq)
  }
  return seqs
}

/** With these; what follows on the cursor without a gap moves it. A publish moves it over what is gone or its own. */
const withAcked = (before: Cursor, seqs: readonly number[]): Cursor => {
  let { cursor, acked } = before
  for (const seq of seqs) {
    if (seq <= cursor || (acked.length > 0 && rangeEnd(acked, seq) !== undefined)) continue
    if (seq === cursor + 1 && acked.length === 0) cursor = seq
    else acked = addToRanges(acked, seq)
    const [from = 0, to = 0] = acked
    if (from !== cursor + 1) continue
    cursor = to
    acked = acked.slice(2)
  }
  return cursor === before.cursor && acked === before.acked ? before : { ...before, cursor, acked }
}

const acknowledgeIn = (rows: TopicRows, all: readonly Acknowledged[], maxMembers: number) =>
  function* (): Verb<void> {
    const [{ value: known = [] }] = yield* ask([rows.cursors.get()])
    const cursors = new Map(known.map((cursor) => [cursor.key, cursor]))
    const areKnown = all.every(({ clientId }) => cursors.has(identityOf(clientId).key))
    const isWhole = areKnown && all.every(({ receipts }) => receipts.every(({ seq }) => seq !== undefined))
    // A client of whom nothing is known yet may have no room, or no business here.
    const asked = areKnown ? rows.row.hint() : rows.row.get()
    const topic = isWhole ? undefined : (yield* ask([asked]))[0].value
    if (!isWhole && (!topic || topic.count === 0)) return { answer: undefined, writes: [] }
    const found = yield* seqsOf(rows, topic, all)
    let isChanged = false
    for (const { clientId, receipts } of all) {
      const { key } = identityOf(clientId)
      const before = cursors.get(key) ?? newCursor(key)
      if (topic && isForeign(topic, clientId)) continue
      if (topic && !cursors.has(key) && !topic.subscribers.includes(clientId)) {
        if (new OpenTopic(rows, topic, [...cursors.values()]).memberCount() >= maxMembers) continue
      }
      const next = withAcked(
        before,
        receipts.flatMap(({ id, seq = found.get(id) }) => seq ?? []),
      )
      if (next === before) continue
      cursors.set(key, next)
      isChanged = true
    }
    const writes = isChanged ? [rows.cursors.put({ value: [...cursors.values()] })] : []
    return { answer: undefined, writes, isRelief: true }
  }

type TopicReceipts = Acknowledged & { topic: string }

const grouped = <T extends { topic: string }>(all: readonly T[]): Map<string, T[]> => {
  const byTopic = new Map<string, T[]>()
  for (const one of all) {
    const own = byTopic.get(one.topic)
    if (own) own.push(one)
    else byTopic.set(one.topic, [one])
  }
  return byTopic
}

export const createAcknowledge = ({ kv, clock, limits }: MailboxDeps) => {
  let gathering: { all: TopicReceipts[]; done: Promise<unknown> } | undefined

  const write = async (all: readonly TopicReceipts[]): Promise<void> => {
    gathering = undefined
    const verbs: PlacedVerb<void>[] = []
    for (const [topic, own] of grouped(all)) {
      const rows = rowsOfTopic(topic)
      verbs.push({ partition: rows.partition, verb: acknowledgeIn(rows, own, limits.members) })
    }
    await kv.run(verbs, clock.now())
  }
  const gather = () => {
    const all: TopicReceipts[] = []
    const done = new Promise<void>((resolve) => process.nextTick(resolve)).then(() => write(all))
    return { all, done }
  }

  return async (clientId: string, receipts: readonly Receipt[]): Promise<void> => {
    if (receipts.length === 0) return
    gathering ??= gather()
    for (const [topic, own] of grouped(receipts)) gathering.all.push({ clientId, topic, receipts: own })
    await gathering.done
  }
}
