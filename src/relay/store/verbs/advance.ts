/** How far a client is with the entries of a topic. */
import { rangeEnd, rangesAbove } from '../ranges.ts'
import type { Cursor } from './cursor-row.ts'
import { countOf, expiryAt, firstBehind, publisherAt, seqAt } from './entries.ts'

/** The first entry behind the cursor that its client has not: its place; the count where there is none. */
export const firstDue = (
  entries: Buffer,
  { cursor, acked }: Cursor,
  hash: number,
  now: number | undefined,
): number => {
  const count = countOf(entries)
  let nth = firstBehind(entries, cursor)
  for (; nth < count; nth++) {
    if (publisherAt(entries, nth) === hash) continue
    if (now !== undefined && expiryAt(entries, nth) <= now) continue
    if (acked.length > 0 && rangeEnd(acked, seqAt(entries, nth)) !== undefined) continue
    return nth
  }
  return nth
}

/** `nth`: of the first entry that is due. */
export const moved = (former: Cursor, entries: Buffer, nth: number, upto: number): Cursor => {
  const isThere = nth < countOf(entries)
  const due = isThere ? seqAt(entries, nth) : 0
  const dueUntil = isThere ? expiryAt(entries, nth) : 0
  const cursor = Math.max(former.cursor, isThere ? Math.min(due - 1, upto) : upto)
  if (cursor === former.cursor && due === former.due && dueUntil === former.dueUntil) return former
  return { ...former, cursor, due, dueUntil, acked: rangesAbove(former.acked, cursor) }
}
