/** Acknowledges messages: all that is said of one topic in one turn is one verb. */
import type { PlacedVerb, Verb } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { addToRanges } from '../ranges.ts'
import type { MailboxDeps } from './deps.ts'
import { seqAt } from './entries.ts'
import { isDone, OpenTopic, type Step } from './open-topic.ts'
import { messageKey, rowsOfTopic, type TopicRows } from './rows.ts'
import type { Member } from './topic-row.ts'

/** `seq` where it is known: then it is not looked for. */
export interface Receipt {
  topic: string
  id: string
  seq?: number | undefined
}

interface Acknowledged {
  clientId: string
  receipts: readonly Receipt[]
}

/** Where the messages are by their ids. */
function* seqsOf(rows: TopicRows, topic: OpenTopic, all: readonly Acknowledged[]): Step<Map<string, number>> {
  const seqs = new Map<string, number>()
  const missing = new Map<string, Buffer>()
  for (const { receipts } of all)
    for (const { id, seq } of receipts) {
      if (seqs.has(id) || missing.has(id)) continue
      if (seq !== undefined) {
        seqs.set(id, seq)
        continue
      }
      const key = messageKey(id)
      const nth = topic.findInRow(key)
      if (nth >= 0) seqs.set(id, seqAt(topic.state.entries, nth))
      else if (topic.hasPages) missing.set(id, key)
    }
  if (missing.size === 0) return seqs
  const ids = [...missing.keys()]
  const found = yield* ask([...missing.values()].map((key) => rows.messages.get(key)))
  for (const [nth, id] of ids.entries()) {
    const seq = found[nth]?.value?.seq
    if (seq !== undefined) seqs.set(id, seq)
  }
  return seqs
}

const NOBODY = { isSubscribed: false, cursor: 0, due: 0, dueUntil: 0, acked: [] }

const acknowledgeIn = (rows: TopicRows, all: readonly Acknowledged[], maxMembers: number) =>
  function* (): Verb<void> {
    const [{ value }] = yield* ask([rows.row.get()])
    if (!value || value.count === 0) return { answer: undefined, writes: [] }
    const topic = new OpenTopic(rows, value)
    const seqs = yield* seqsOf(rows, topic, all)
    for (const { clientId, receipts } of all) {
      if (topic.isForeign(clientId)) continue
      const known = topic.memberOf(clientId)
      if (!known && topic.state.members.length >= maxMembers) continue
      const before: Member = known ?? { clientId, ...NOBODY }
      let member = before
      for (const { id } of receipts) {
        const seq = seqs.get(id)
        if (seq === undefined || seq > topic.state.lastSeq || isDone(member, seq)) continue
        member = { ...member, acked: addToRanges(member.acked, seq) }
      }
      if (member !== before) topic.putMember(yield* topic.advanced(member, topic.state.lastSeq))
    }
    return { answer: undefined, writes: yield* topic.finish(), isRelief: true }
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
