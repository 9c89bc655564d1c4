/**
 * Archived messages over the port. The partition is the topic; every change of it writes the row that counts it, so two
 * that meet are found out.
 *
 * What is known of a message and its text are two rows: pages are cut, and messages removed, without reading texts.
 *
 * Counts must follow what expires, so messages don't end by themselves. A topic that has any is in the index of what is
 * due, at one instant that its row names: at the end of a message, or a while later. A sweep that comes by looks at the
 * row, removes what has expired, and enters the topic again, before the row names the new instant.
 */
import { createKeyedLock, type KeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { MIB_BYTES } from '../../platform/units.ts'
import { behind, hash, key, number } from '../../storage/bytes.ts'
import type { Check, Kv } from '../../storage/kv.ts'
import { type Row, read, transact } from '../../storage/table.ts'
import type { Archived, ArchiveLimits, ArchiveStore, NewArchived } from '../store.ts'
import {
  type ArchivedHead,
  archivedOf,
  dueIn,
  dueKey,
  headOf,
  MESSAGE_TABLES,
  NO_MESSAGES,
  putMessage,
  putState,
  removal,
  removeMessage,
  sizeOf,
  type TopicState,
} from './rows.ts'

const { messages, texts, ids, owned, topics } = MESSAGE_TABLES

/** A sweep looks into a topic so much later at the earliest: whoever entered it has written it by then. */
export const DUE_DELAY_MS = 600_000
/** Messages of one commit, and their bytes. */
export const PIECE = { messages: 200, bytes: 4 * MIB_BYTES }
/** Of the oldest of a topic, those that are looked at first: mostly none goes. */
const FIRST_LOOK = 2

export interface MessageDeps {
  kv: Kv
  /** By topic: callers of this process would only chase each other. */
  inTurn: KeyedLock
  waiting: Map<string, WaitingKeep>
}

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

/** The oldest of a topic that go, and whether that is all of it. */
const oldestThatGo = async (
  { kv }: MessageDeps,
  topic: string,
  { oldest, goes }: { oldest: readonly Row<ArchivedHead>[]; goes: (head: ArchivedHead) => boolean },
): Promise<{ rows: Row<ArchivedHead>[]; isAll: boolean }> => {
  const rows: Row<ArchivedHead>[] = []
  for (let page = oldest, limit = FIRST_LOOK; ; ) {
    for (const row of page) {
      if (rows.length === PIECE.messages || !goes(row.value)) return { rows, isAll: false }
      rows.push(row)
    }
    const last = page.at(-1)
    if (!last || page.length < limit) return { rows, isAll: true }
    limit = PIECE.messages
    page = (await read(kv, [messages.in(topic).range({ from: behind(last.key), limit })]))[0]
  }
}

interface Wanted {
  message: NewArchived
  seq: number
}

/** Those of a piece that are not there yet, each once, with their places. */
const newOf = async (
  { kv }: MessageDeps,
  topic: string,
  piece: readonly (NewArchived & { seq?: number })[],
): Promise<{
  state: TopicState
  isUnchanged: Check
  /** A first look at what the topic has. */
  oldest: Row<ArchivedHead>[]
  wanted: Wanted[]
}> => {
  const asked = piece.map(({ id }) => ids.in(topic).get(hash(id)))
  const [{ value: state = NO_MESSAGES, isUnchanged }, oldest, ...found] = await read(kv, [
    topics.in(topic).get(),
    messages.in(topic).range({ limit: FIRST_LOOK }),
    ...asked,
  ])
  const wanted = new Map<string, Wanted>()
  let { last } = state
  for (const [at, message] of piece.entries()) {
    if (found[at]?.value !== undefined || wanted.has(message.id)) continue
    const seq = message.seq ?? last + 1
    last = Math.max(last, seq)
    wanted.set(message.id, { message, seq })
  }
  return { state: { ...state, last }, isUnchanged, oldest, wanted: [...wanted.values()] }
}

/** Keeps a piece, and lets the oldest go that have expired or are beyond the limits. */
const keepPiece = (
  deps: MessageDeps,
  topic: string,
  piece: readonly (NewArchived & { seq?: number })[],
  { limits, now }: { limits?: ArchiveLimits; now: number },
): Promise<void> =>
  transact<void>(deps.kv, now, async () => {
    const { state, isUnchanged, oldest, wanted } = await newOf(deps, topic, piece)
    let { count, bytes } = state
    for (const { message } of wanted) {
      count += 1
      bytes += sizeOf(headOf(message))
    }
    const goes = (head: ArchivedHead): boolean => {
      const isOver = limits && (count > limits.messages || bytes > limits.bytes)
      if (!limits || (!isOver && head.expiresAt > now)) return false
      count -= 1
      bytes -= sizeOf(head)
      return true
    }
    const { rows, isAll } = await oldestThatGo(deps, topic, { oldest, goes })
    const kept = [...wanted]
    while (isAll && kept[0] && goes(headOf(kept[0].message))) kept.shift()
    if (kept.length === 0 && rows.length === 0) return { answer: undefined }
    const ends = kept.map(({ message }) => Math.max(message.expiresAt, now + DUE_DELAY_MS))
    const dueAt = Math.min(state.dueAt, ...ends)
    if (dueAt < state.dueAt) await enterDue(deps, topic, dueAt, { now, isRelief: false })
    const absent = kept.map(({ message: { id } }) => ids.in(topic).isAbsent(hash(id)))
    const checks = [isUnchanged, ...absent, ...rows.map((row) => row.isUnchanged)]
    const writes = [
      ...rows.flatMap((row) => removeMessage(topic, row)),
      ...kept.flatMap(({ message, seq }) => putMessage(message, seq)),
      putState(topic, { last: state.last, count, bytes, dueAt }),
    ]
    return { answer: undefined, batch: { partition: topic, checks, writes } }
  })

/** In pieces, one after the other: the order of a topic is that of the calls. */
const keepInTopic = async (
  deps: MessageDeps,
  topic: string,
  own: readonly (NewArchived & { seq?: number })[],
  bounds: { limits?: ArchiveLimits; now: number },
): Promise<void> => {
  let piece: NewArchived[] = []
  let bytes = 0
  for (const message of own) {
    if (piece.length === PIECE.messages || bytes > PIECE.bytes) {
      await keepPiece(deps, topic, piece, bounds)
      piece = []
      bytes = 0
    }
    piece.push(message)
    bytes += message.message.length
  }
  if (piece.length > 0) await keepPiece(deps, topic, piece, bounds)
}

/** What callers of this process want to keep in a topic while others have their turn. */
interface WaitingKeep {
  messages: (NewArchived & { seq?: number })[]
  limits: ArchiveLimits | undefined
  now: number
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
  const mine: WaitingKeep = { messages: [...messages], limits, now, done: Promise.resolve() }
  mine.done = deps.inTurn(topic, async () => {
    // After it waits: a free lock begins at once.
    await undefined
    if (deps.waiting.get(topic) === mine) deps.waiting.delete(topic)
    await keepInTopic(deps, topic, mine.messages, { ...(limits && { limits }), now: mine.now })
  })
  deps.waiting.set(topic, mine)
  return mine.done
}

const keepAll = async (
  deps: MessageDeps,
  wanted: readonly (NewArchived & { seq?: number })[],
  { limits, now }: { limits?: ArchiveLimits; now: number },
): Promise<void> => {
  for (const { topic, id } of wanted) hash(topic) && hash(id)
  const byTopic = new Map<string, (NewArchived & { seq?: number })[]>()
  for (const message of wanted) {
    const own = byTopic.get(message.topic)
    if (own) own.push(message)
    else byTopic.set(message.topic, [message])
  }
  await Promise.all([...byTopic].map(([topic, messages]) => joinKeep(deps, topic, { messages, limits, now })))
}

const lives = (head: ArchivedHead | undefined, now: number): boolean =>
  head !== undefined && head.expiresAt > now

/** Messages of one page, without their texts, and the one that begins the next page. */
const headsOfPage = async (
  { kv }: MessageDeps,
  topic: string,
  { origin, direction, limit, maxBytes, now }: Parameters<ArchiveStore['page']>[1],
): Promise<{ rows: Row<ArchivedHead>[]; next: string | undefined } | undefined> => {
  let start: Buffer | undefined
  if (origin !== undefined) {
    const [{ value: seq }] = await read(kv, [ids.in(topic).get(hash(origin))])
    if (seq === undefined) return undefined
    const [{ value: head }] = await read(kv, [messages.in(topic).get(number(seq))])
    if (head?.id !== origin.toLowerCase() || !lives(head, now)) return undefined
    start = number(seq)
  }
  const isReverse = direction === 'backward'
  let range = start && (isReverse ? { to: behind(start) } : { from: start })
  const rows: Row<ArchivedHead>[] = []
  for (let bytes = 0; ; ) {
    const wanted = limit + 1 - rows.length
    const [some] = await read(kv, [messages.in(topic).range({ ...range, limit: wanted, isReverse })])
    for (const row of some) {
      if (!lives(row.value, now)) continue
      const size = sizeOf(row.value)
      if (rows.length === limit || (rows.length > 0 && bytes + size > maxBytes))
        return { rows, next: row.value.id }
      bytes += size
      rows.push(row)
    }
    const last = some.at(-1)
    if (!last || some.length < wanted) return { rows, next: undefined }
    range = isReverse ? { to: last.key } : { from: behind(last.key) }
  }
}

const page = async (
  deps: MessageDeps,
  topic: string,
  from: Parameters<ArchiveStore['page']>[1],
): ReturnType<ArchiveStore['page']> => {
  const found = await headsOfPage(deps, topic, from)
  if (!found) return undefined
  const { rows, next } = found
  const kept = await read(
    deps.kv,
    rows.map((row) => texts.in(topic).get(row.key)),
  )
  return {
    messages: rows.flatMap((row, at): Archived[] => {
      const message = kept[at]?.value
      return message === undefined ? [] : [archivedOf(topic, row, message)]
    }),
    next,
  }
}

/** Removes one piece of what the owner has before the message; answers how many; undefined where that is not there. */
const dropPiece = (
  { kv }: MessageDeps,
  topic: string,
  { before, owner, now }: { before: string; owner: string; now: number },
): Promise<number | undefined> =>
  transact<number | undefined>(kv, now, async () => {
    const [mark, { value: state, isUnchanged }] = await read(kv, [
      ids.in(topic).get(hash(before)),
      topics.in(topic).get(),
    ])
    if (mark.value === undefined || !state) return { answer: undefined }
    const own = hash(owner)
    const range = { from: own, to: key(own, number(mark.value)), limit: PIECE.messages }
    const [entries] = await read(kv, [owned.in(topic).keys(range)])
    if (entries.length === 0) return { answer: 0 }
    const found = await read(
      kv,
      entries.map((entry) => messages.in(topic).get(entry.subarray(own.length))),
    )
    const rows = found.flatMap(({ value, isUnchanged }, at): Row<ArchivedHead>[] => {
      const entry = entries[at]
      return value && entry ? [{ key: entry.subarray(own.length), value, isUnchanged }] : []
    })
    return { answer: entries.length, batch: removal(topic, { state, isUnchanged }, rows) }
  })

export const createMessageDeps = (kv: Kv): MessageDeps => ({
  kv,
  inTurn: createKeyedLock(),
  waiting: new Map(),
})

export const messageVerbs = (
  deps: MessageDeps,
  clock: Pick<Clock, 'now'>,
): Pick<ArchiveStore, 'keep' | 'page' | 'drop' | 'restore'> => ({
  keep: (wanted, limits, now) => keepAll(deps, wanted, { limits, now }),
  page(topic, from) {
    hash(topic)
    return page(deps, topic, from)
  },
  async drop(topic, before, owner) {
    hash(topic)
    for (;;) {
      const dropped = await deps.inTurn(topic, () =>
        dropPiece(deps, topic, { before, owner, now: clock.now() }),
      )
      if (dropped === undefined) return false
      if (dropped < PIECE.messages) return true
    }
  },
  // They were within their limits.
  restore: (records) => keepAll(deps, records, { now: clock.now() }),
})
