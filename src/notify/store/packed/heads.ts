/**
 * The history of a subscription, in rows of many copies. Its *head* is there from the first copy until the subscription ends,
 * and has its newest copies; what is too much for it goes, all at once, to a *page* behind it.
 *
 *     head    sweptAt 6 · pagesUntil 6 · unread in pages 4 · holder: length 2, text · copies
 *     page    copies
 *     copy    id · flags 1 · sentAt 6 · expiresAt 6 · notification 16 · chunk of receipts 8
 *
 * `sweptAt` is where the history stands in the list of what expires; 0: nowhere, because it has no copies. `pagesUntil` is the
 * latest `sentAt` in any page: a copy of a later notification can be in the head alone.
 */
import { idLength, isSame, readTime, TIME_BYTES, writeTime } from './ids.ts'

export const REFERENCE_BYTES = 16
export const CHUNK_NAME_BYTES = 8
export const MAX_HEAD_COPIES = 16

export const FLAGS = { read: 1, withdrawn: 2 } as const
const PAGES_UNTIL_AT = TIME_BYTES
const UNREAD_AT = 2 * TIME_BYTES
const HOLDER_AT = UNREAD_AT + 4
const COPY_REST_BYTES = 1 + 2 * TIME_BYTES + REFERENCE_BYTES + CHUNK_NAME_BYTES
const RECEIPT_PLACE_BYTES = REFERENCE_BYTES + CHUNK_NAME_BYTES

export interface Copy {
  /** Packed. */
  id: Buffer
  isRead: boolean
  isWithdrawn: boolean
  sentAt: number
  expiresAt: number
  reference: Buffer
  /** Reference and chunk, as a text of bytes. */
  receipt: string
}

export const newHead = (holder: string): Buffer => {
  const length = Buffer.byteLength(holder)
  const head = Buffer.alloc(HOLDER_AT + 2 + length)
  head.writeUInt16BE(length, HOLDER_AT)
  head.write(holder, HOLDER_AT + 2)
  return head
}

const copiesAt = (head: Buffer): number => HOLDER_AT + 2 + head.readUInt16BE(HOLDER_AT)
const copyEnd = (bytes: Buffer, at: number): number => at + idLength(bytes, at) + COPY_REST_BYTES

export const holderOf = (head: Buffer): string => head.toString('utf8', HOLDER_AT + 2, copiesAt(head))
export const isHeldBy = (head: Buffer, accountKey: string): boolean => holderOf(head) === accountKey

export const sweptAt = (head: Buffer): number => readTime(head, 0)
export const pagesUntil = (head: Buffer): number => readTime(head, PAGES_UNTIL_AT)
export const unreadInPages = (head: Buffer): number => head.readUInt32BE(UNREAD_AT)

/** In a head that is the caller's own. */
export const setSweptAt = (head: Buffer, at: number): number => writeTime(head, at, 0)
export const setPages = (head: Buffer, { until, unread }: { until: number; unread: number }): void => {
  writeTime(head, until, PAGES_UNTIL_AT)
  head.writeUInt32BE(Math.max(0, unread), UNREAD_AT)
}

export const copyAt = (bytes: Buffer, at: number): Copy => {
  const flagsAt = at + idLength(bytes, at)
  const flags = bytes[flagsAt] ?? 0
  const referenceAt = flagsAt + 1 + 2 * TIME_BYTES
  return {
    id: bytes.subarray(at, flagsAt),
    isRead: (flags & FLAGS.read) !== 0,
    isWithdrawn: (flags & FLAGS.withdrawn) !== 0,
    sentAt: readTime(bytes, flagsAt + 1),
    expiresAt: readTime(bytes, flagsAt + 1 + TIME_BYTES),
    reference: bytes.subarray(referenceAt, referenceAt + REFERENCE_BYTES),
    receipt: bytes.toString('latin1', referenceAt, referenceAt + RECEIPT_PLACE_BYTES),
  }
}

export const copiesIn = (page: Buffer, start = 0): Copy[] => {
  const copies: Copy[] = []
  for (let at = start; at < page.length; at = copyEnd(page, at)) copies.push(copyAt(page, at))
  return copies
}
export const copiesInHead = (head: Buffer): Copy[] => copiesIn(head, copiesAt(head))

/** Where the copy is in the head or, from 0 on, in a page; -1: nowhere. */
const find = (bytes: Buffer, start: number, id: Buffer): number => {
  for (let at = start; at < bytes.length; at = copyEnd(bytes, at)) if (isSame(bytes, at, id)) return at
  return -1
}
export const findInHead = (head: Buffer, id: Buffer): number => find(head, copiesAt(head), id)
export const findInPage = (page: Buffer, id: Buffer): number => find(page, 0, id)

interface Counted {
  copies: number
  unread: number
  until: number
  /** When the first one expires. */
  soonest: number
}

const countOf = (bytes: Buffer, start: number): Counted => {
  const counted = { copies: 0, unread: 0, until: 0, soonest: Number.POSITIVE_INFINITY }
  for (let at = start; at < bytes.length; at = copyEnd(bytes, at)) {
    const flagsAt = at + idLength(bytes, at)
    counted.copies += 1
    if (bytes[flagsAt] === 0) counted.unread += 1
    counted.until = Math.max(counted.until, readTime(bytes, flagsAt + 1))
    counted.soonest = Math.min(counted.soonest, readTime(bytes, flagsAt + 1 + TIME_BYTES))
  }
  return counted
}
export const countInPage = (page: Buffer): Counted => countOf(page, 0)
export const countInHead = (head: Buffer): Counted => countOf(head, copiesAt(head))

/** Unread copies, those in pages too. */
export const unreadOf = (head: Buffer): number => unreadInPages(head) + countInHead(head).unread

export const isFull = (head: Buffer): boolean => {
  let copies = 0
  for (let at = copiesAt(head); at < head.length; at = copyEnd(head, at)) copies += 1
  return copies >= MAX_HEAD_COPIES
}

/** The head without copies, and the page that has them. */
export const divide = (head: Buffer): { head: Buffer; page: Buffer; until: number } => {
  const start = copiesAt(head)
  const { unread, until } = countOf(head, start)
  const rest = Buffer.from(head.subarray(0, start))
  setPages(rest, { until: Math.max(until, pagesUntil(head)), unread: unreadInPages(head) + unread })
  return { head: rest, page: head.subarray(start), until }
}

/** All of an unread copy but its id: the same for all that one call enqueues. */
export const copyRest = ({
  sentAt,
  expiresAt,
  reference,
  chunk,
  flags = 0,
}: Pick<Copy, 'sentAt' | 'expiresAt' | 'reference'> & { chunk: Buffer; flags?: number }): Buffer => {
  const rest = Buffer.allocUnsafe(COPY_REST_BYTES)
  rest[0] = flags
  writeTime(rest, sentAt, 1)
  writeTime(rest, expiresAt, 1 + TIME_BYTES)
  rest.set(reference, 1 + 2 * TIME_BYTES)
  rest.set(chunk, 1 + 2 * TIME_BYTES + REFERENCE_BYTES)
  return rest
}

export const withCopy = (head: Buffer, id: Buffer, rest: Buffer): Buffer => {
  const next = Buffer.allocUnsafe(head.length + id.length + rest.length)
  next.set(head, 0)
  next.set(id, head.length)
  next.set(rest, head.length + id.length)
  return next
}

export const withoutCopy = (head: Buffer, at: number): Buffer =>
  Buffer.concat([head.subarray(0, at), head.subarray(copyEnd(head, at))])

/** Without at most `limit` copies that have expired. */
const withoutExpired = (bytes: Buffer, start: number, now: number, limit: number) => {
  const kept: Buffer[] = [bytes.subarray(0, start)]
  let removed = 0
  for (let at = start; at < bytes.length; at = copyEnd(bytes, at)) {
    const isExpired = removed < limit && readTime(bytes, at + idLength(bytes, at) + 1 + TIME_BYTES) <= now
    if (isExpired) removed += 1
    else kept.push(bytes.subarray(at, copyEnd(bytes, at)))
  }
  return { rest: removed > 0 ? Buffer.concat(kept) : bytes, removed }
}
export const sweptPage = (page: Buffer, now: number, limit: number) => withoutExpired(page, 0, now, limit)
export const sweptHead = (head: Buffer, now: number, limit: number) =>
  withoutExpired(head, copiesAt(head), now, limit)

/** The copy there with one more flag; answers whether it was unread before. */
export const flagged = (bytes: Buffer, at: number, flag: number): { next: Buffer; wasUnread: boolean } => {
  const next = Buffer.from(bytes)
  const flagsAt = at + idLength(bytes, at)
  const flags = next[flagsAt] ?? 0
  next[flagsAt] = flags | flag
  return { next, wasUnread: flags === 0 }
}
