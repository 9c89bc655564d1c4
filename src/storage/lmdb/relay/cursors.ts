/** How far the members of a topic are: a cursor, and what is acknowledged beyond it. */
import { rangeEnd, rangesAbove } from '../../../relay/store/ranges.ts'
import { endOf, key, number } from '../../bytes.ts'
import { expiryOfRow, type Member, publishedBy } from './rows.ts'
import type { RelayTables } from './tables.ts'

/** The seq of the first message at `from` or behind it. */
export const firstSeq = (
  { messages }: Pick<RelayTables, 'messages'>,
  topic: Buffer,
  from: number,
): number | undefined => {
  for (const found of messages.getKeys({ start: key(topic, number(from)), end: endOf(topic), limit: 1 })) {
    return found.readDoubleBE(32)
  }
  return undefined
}

/** A member with its client. */
export interface TopicMember {
  client: Buffer
  member: Member
}

/** Finds the first message of a topic at `seq` or behind it. */
export type FindMessage = (seq: number) => { seq: number; row: Buffer } | undefined

export const findIn =
  (tables: Pick<RelayTables, 'messages'>, topic: Buffer): FindMessage =>
  (seq) => {
    const row = tables.messages.get(key(topic, number(seq)))
    if (row) return { seq, row }
    const next = firstSeq(tables, topic, seq)
    const nextRow = next === undefined ? undefined : tables.messages.get(key(topic, number(next)))
    return next === undefined || !nextRow ? undefined : { seq: next, row: nextRow }
  }

/** The same for many members, whose cursors are often the same. */
export const findOnce = (find: FindMessage): FindMessage => {
  const known = new Map<number, ReturnType<FindMessage>>()
  return (seq) => {
    if (!known.has(seq)) known.set(seq, find(seq))
    return known.get(seq)
  }
}

/** Whether the client has acknowledged the message, or it lies below its cursor. */
export const isDone = (member: Member, seq: number): boolean =>
  seq <= member.cursor || rangeEnd(member.acked, seq) !== undefined

/** Moves the cursor over what is no longer due up to `last`: acknowledged, own, gone, and expired where `now` says. */
export const advance = (
  find: FindMessage,
  { client, member }: TopicMember,
  last: number,
  now?: number,
): Member => {
  let seq = member.cursor + 1
  while (seq <= last) {
    const end = rangeEnd(member.acked, seq)
    if (end !== undefined) {
      seq = end + 1
      continue
    }
    const found = find(seq)
    if (!found) seq = last + 1
    else if (found.seq > seq) seq = found.seq
    else if (publishedBy(found.row, client) || (now !== undefined && expiryOfRow(found.row) <= now)) seq++
    else break
  }
  const cursor = Math.max(member.cursor, Math.min(seq - 1, last))
  if (cursor === member.cursor) return member
  return { ...member, cursor, acked: rangesAbove(member.acked, cursor) }
}
