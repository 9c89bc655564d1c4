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
import type { Clock } from '../../platform/runtime/clock.ts'
import { behind, hash, key, number } from '../../storage/bytes.ts'
import { type Row, read, transact } from '../../storage/table.ts'
import type { Archived, ArchiveStore } from '../store.ts'
import { keepAll, type MessageDeps, PIECE } from './keep.ts'
import { type ArchivedHead, archivedOf, MESSAGE_TABLES, removal, setsOf, sizeOf } from './rows.ts'

const { messages, texts } = MESSAGE_TABLES

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
    const [{ value: text }] = await read(kv, [texts.in(topic).get(hash(origin))])
    if (text === undefined) return undefined
    const [{ value: head }] = await read(kv, [messages.in(topic).get(number(text.seq))])
    if (head?.id !== origin.toLowerCase() || !lives(head, now)) return undefined
    start = number(text.seq)
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
  const own = texts.in(topic)
  const kept = await read(
    deps.kv,
    rows.map((row) => own.get(hash(row.value.id))),
  )
  return {
    messages: rows.flatMap((row, at): Archived[] => {
      const text = kept[at]?.value
      return text === undefined ? [] : [archivedOf(topic, row, text.message)]
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
    const sets = setsOf(topic)
    const [mark, { value: state, isUnchanged }] = await read(kv, [
      sets.texts.get(hash(before)),
      sets.state.get(),
    ])
    if (mark.value === undefined || !state) return { answer: undefined }
    const own = hash(owner)
    const range = { from: own, to: key(own, number(mark.value.seq)), limit: PIECE.messages }
    const [entries] = await read(kv, [sets.owned.keys(range)])
    if (entries.length === 0) return { answer: 0 }
    const found = await read(
      kv,
      entries.map((entry) => sets.messages.get(entry.subarray(own.length))),
    )
    const rows = found.flatMap(({ value, isUnchanged }, at): Row<ArchivedHead>[] => {
      const entry = entries[at]
      return value && entry ? [{ key: entry.subarray(own.length), value, isUnchanged }] : []
    })
    return { answer: entries.length, batch: removal(sets, { state, isUnchanged }, rows) }
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
