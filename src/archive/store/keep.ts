/** Keeps messages in their topics. What a topic consists of is said in `./messages.ts`. */
import { createKeyedLock, type KeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import { MIB_BYTES } from '../../platform/units.ts'
import { behind, hash } from '../../storage/bytes.ts'
import type { Kv, Write } from '../../storage/kv.ts'
import { type Found, type Row, read, transact } from '../../storage/table.ts'
import type { ArchiveLimits, NewArchived } from '../store.ts'
import { createRecentTopics, type RecentTopics } from './recent-topics.ts'
import {
  type ArchivedHead,
  dueIn,
  dueKey,
  headOf,
  NO_MESSAGES,
  putMessage,
  putState,
  removeMessage,
  setsOf,
  sizeOf,
  type TopicSets,
  type TopicState,
} from './rows.ts'

const NO_KEY = Buffer.alloc(0)
/** When the oldest of a topic ends, where it must be looked for. */
const UNKNOWN = 0

/** A sweep looks into a topic so much later at the earliest: whoever entered it has written it by then. */
export const DUE_DELAY_MS = 600_000
/** Messages of one commit, and their bytes. */
export const PIECE = { messages: 200, bytes: 4 * MIB_BYTES }

export interface MessageDeps {
  kv: Kv
  /** By topic: callers of this process would only chase each other. */
  inTurn: KeyedLock
  waiting: Map<string, WaitingKeep>
  recent: RecentTopics
}

export const createMessageDeps = (kv: Kv): MessageDeps => ({
  kv,
  inTurn: createKeyedLock(),
  waiting: new Map(),
  recent: createRecentTopics(),
})

/** Before the row of the topic names the instant. */
export const enterDue = (
  { kv }: MessageDeps,
  topic: string,
  dueAt: number,
  { now, isRelief }: { now: number; isRelief: boolean },
) => {
  const set = dueIn(topic)
  const writes = [set.put({ key: dueKey(dueAt, topic), value: true })]
  return kv.commit([{ partition: set.name.partition, writes, isRelief }], now)
}

/** With its place, where it had one before. */
type Placeable = NewArchived & { seq?: number }

/** A message that is to be kept, with what is written of it. */
interface Wanted {
  message: Placeable
  id: Buffer
  head: ArchivedHead
}

interface Bounds {
  limits: ArchiveLimits | undefined
  now: number
}

/** The oldest of a topic that go, and the first that stays. `look`: how many are looked at first. */
const oldestThatGo = async (
  { kv }: MessageDeps,
  { messages }: TopicSets,
  { look, goes }: { look: number; goes: (head: ArchivedHead) => boolean },
): Promise<{ rows: Row<ArchivedHead>[]; stays?: ArchivedHead }> => {
  const rows: Row<ArchivedHead>[] = []
  let from: Buffer | undefined
  for (let limit = Math.min(look, PIECE.messages); ; limit = PIECE.messages) {
    const [page] = await read(kv, [messages.range({ ...(from && { from }), limit })])
    for (const row of page) {
      if (rows.length === PIECE.messages || !goes(row.value)) return { rows, stays: row.value }
      rows.push(row)
    }
    const last = page.at(-1)
    if (!last || page.length < limit) return { rows }
    from = behind(last.key)
  }
}

/** What the topic says of itself, and those of a piece that it does not have yet. */
const newOf = async (
  { kv }: MessageDeps,
  { state, texts }: TopicSets,
  piece: ReadonlyMap<string, Wanted>,
): Promise<{ before: Found<TopicState>; wanted: Wanted[] }> => {
  const asked = [...piece.values()].map(({ id }) => texts.get(id))
  const [before, ...found] = await read(kv, [state.get(), ...asked])
  return { before, wanted: [...piece.values()].filter((_, at) => found[at]?.value === undefined) }
}

/** The same, as it is almost always: the topic is as this process left it, and all of the piece is new. */
const supposedNewOf = async (
  { kv, recent }: MessageDeps,
  { topic, state }: TopicSets,
  { piece, now }: { piece: ReadonlyMap<string, Wanted>; now: number },
): ReturnType<typeof newOf> => {
  const noted = recent.of(topic, now)
  const wanted = [...piece.values()]
  if (noted) return { before: { value: noted.state, isUnchanged: state.is(NO_KEY, noted.state) }, wanted }
  const [before] = await read(kv, [state.get()])
  return { before, wanted }
}

/** Messages with their places, and how the topic counts them. */
const placed = (before: TopicState, wanted: readonly Wanted[]) => {
  const after = { ...before }
  if (before.count === 0) after.oldestEnds = wanted[0]?.head.expiresAt ?? UNKNOWN
  const kept = wanted.map((one) => {
    const { seq = after.last + 1 } = one.message
    if (one.message.seq !== undefined) after.oldestEnds = UNKNOWN
    after.last = Math.max(after.last, seq)
    after.count += 1
    after.bytes += sizeOf(one.head)
    return { message: one.message, id: one.id, head: one.head, seq }
  })
  return { after, kept }
}

const isOver = ({ count, bytes }: TopicState, limits: ArchiveLimits): boolean =>
  count > limits.messages || bytes > limits.bytes

/** Lets the oldest go that have expired or are beyond the limits, and counts those that are left. */
const withoutOldest = async (
  deps: MessageDeps,
  sets: TopicSets,
  { after, kept, limits, now }: ReturnType<typeof placed> & { limits: ArchiveLimits; now: number },
): Promise<Row<ArchivedHead>[]> => {
  const goes = (head: ArchivedHead): boolean => {
    if (!isOver(after, limits) && head.expiresAt > now) return false
    after.count -= 1
    after.bytes -= sizeOf(head)
    return true
  }
  // One more than go, as a rule.
  const { rows, stays } = await oldestThatGo(deps, sets, { look: kept.length + 1, goes })
  while (!stays && kept[0] && goes(kept[0].head)) kept.shift()
  after.oldestEnds = (stays ?? kept[0]?.head)?.expiresAt ?? UNKNOWN
  return rows
}

/** Keeps a piece. What is supposed is checked by the commit; where that was refused, everything is read. */
const keepPiece = async (
  deps: MessageDeps,
  sets: TopicSets,
  piece: ReadonlyMap<string, Wanted>,
  { limits, now }: Bounds,
): Promise<void> => {
  let isRefused = false
  const left = await transact<TopicState | undefined>(deps.kv, now, async () => {
    const look = isRefused ? newOf(deps, sets, piece) : supposedNewOf(deps, sets, { piece, now })
    isRefused = true
    const { before, wanted } = await look
    const { value: state = NO_MESSAGES, isUnchanged } = before
    const { after, kept } = placed(state, wanted)
    const isTooMuch = limits && wanted.length > 0 && (isOver(after, limits) || after.oldestEnds <= now)
    const rows = isTooMuch ? await withoutOldest(deps, sets, { after, kept, limits, now }) : []
    if (kept.length === 0 && rows.length === 0) return { answer: before.value }
    for (const { head } of kept)
      after.dueAt = Math.min(after.dueAt, Math.max(head.expiresAt, now + DUE_DELAY_MS))
    if (after.dueAt < state.dueAt) await enterDue(deps, sets.topic, after.dueAt, { now, isRelief: false })
    const checks = [isUnchanged]
    const writes: Write[] = []
    for (const row of rows) {
      checks.push(row.isUnchanged)
      removeMessage(sets, row, writes)
    }
    for (const one of kept) {
      checks.push(sets.texts.isAbsent(one.id))
      putMessage(sets, one, writes)
    }
    writes.push(putState(sets, after))
    // Sent again it is refused, and nothing of it is new then.
    return { answer: after, batch: { partition: sets.topic, checks, writes, isOnce: false } }
  })
  if (left && left.count > 0) deps.recent.note(sets, left, now)
  else deps.recent.forget(sets.topic)
}

/** In pieces, one after the other: the order of a topic is that of the calls. */
const keepInTopic = async (
  deps: MessageDeps,
  topic: string,
  own: readonly Wanted[],
  bounds: Bounds,
): Promise<void> => {
  const sets = deps.recent.of(topic, bounds.now)?.sets ?? setsOf(topic)
  let piece = new Map<string, Wanted>()
  let bytes = 0
  for (const one of own) {
    const { id, message } = one.message
    if (piece.size === PIECE.messages || bytes > PIECE.bytes) {
      await keepPiece(deps, sets, piece, bounds)
      piece = new Map()
      bytes = 0
    }
    if (piece.has(id)) continue
    piece.set(id, one)
    bytes += message.length
  }
  if (piece.size > 0) await keepPiece(deps, sets, piece, bounds)
}

/** What callers of this process want to keep in a topic while others have their turn. */
interface WaitingKeep extends Bounds {
  messages: Wanted[]
  done: Promise<void>
}

const isSame = (a: ArchiveLimits | undefined, b: ArchiveLimits | undefined): boolean =>
  a?.messages === b?.messages && a?.bytes === b?.bytes

/** Joins those that wait for their turn: they are kept together, or none of them is. */
const joinKeep = (
  deps: MessageDeps,
  topic: string,
  { messages, limits, now }: Omit<WaitingKeep, 'done'>,
): Promise<void> => {
  const before = deps.waiting.get(topic)
  if (before && isSame(before.limits, limits)) {
    before.messages.push(...messages)
    before.now = Math.max(before.now, now)
    return before.done
  }
  const mine: WaitingKeep = { messages, limits, now, done: Promise.resolve() }
  mine.done = deps.inTurn(topic, async () => {
    // After it waits: a free lock begins at once.
    await undefined
    if (deps.waiting.get(topic) === mine) deps.waiting.delete(topic)
    await keepInTopic(deps, topic, mine.messages, mine)
  })
  deps.waiting.set(topic, mine)
  return mine.done
}

/** Throws, before anything is kept, for what has no place. */
export const keepAll = async (
  deps: MessageDeps,
  messages: readonly Placeable[],
  { limits, now }: { limits?: ArchiveLimits; now: number },
): Promise<void> => {
  const byTopic = new Map<string, Wanted[]>()
  for (const message of messages) {
    const one = { message, id: hash(message.id), head: headOf(message) }
    const own = byTopic.get(message.topic)
    if (own) own.push(one)
    else byTopic.set(message.topic, [one])
  }
  for (const topic of byTopic.keys()) hash(topic)
  await Promise.all([...byTopic].map(([topic, messages]) => joinKeep(deps, topic, { messages, limits, now })))
}
