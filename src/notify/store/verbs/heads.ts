/**
 * The history of a subscription, in rows of many copies. Its *head* is there exactly as long as the subscription, and has
 * its newest copies; what is too much for it goes, all at once, to a *page* behind it.
 *
 *     head    pagesUntil 6 · unread in pages 2 · holder: length 2, text · copies
 *     page    copies
 *     copy    id · flags 1 · sentAt 6 · expiresAt 6 · notification 16 · chunk of receipts 6
 *
 * `pagesUntil` is the latest `sentAt` in any page: a copy of a later notification can be in the head alone.
 */
import { idLength, isSame, readTime, TIME_BYTES, writeTime } from './ids.ts'

export const REFERENCE_BYTES = 16
export const CHUNK_NAME_BYTES = 6
export const MAX_HEAD_COPIES = 16

const FLAGS = { read: 1, withdrawn: 2 } as const
const UNREAD_AT = TIME_BYTES
const HOLDER_AT = UNREAD_AT + 2
const COPY_REST_BYTES = 1 + 2 * TIME_BYTES + REFERENCE_BYTES + CHUNK_NAME_BYTES

export interface Copy {
  /** Packed. */
  id: Buffer
  isRead: boolean
  isWithdrawn: boolean
  sentAt: number
  expiresAt: number
  reference: Buffer
  chunk: Buffer
  /** Both, as a text of bytes. */
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

export const isHeldBy = (head: Buffer, accountKey: string): boolean =>
  head.toString('utf8', HOLDER_AT + 2, copiesAt(head)) === accountKey

export const pagesUntil = (head: Buffer): number => readTime(head, 0)

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
    chunk: bytes.subarray(referenceAt + REFERENCE_BYTES, referenceAt + REFERENCE_BYTES + CHUNK_NAME_BYTES),
    receipt: bytes.toString('latin1', referenceAt, referenceAt + REFERENCE_BYTES + CHUNK_NAME_BYTES),
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

const countOf = (bytes: Buffer, start: number): { copies: number; unread: number; until: number } => {
  let [copies, unread, until] = [0, 0, 0]
  for (let at = start; at < bytes.length; at = copyEnd(bytes, at)) {
    const flagsAt = at + idLength(bytes, at)
    copies += 1
    if (bytes[flagsAt] === 0) unread += 1
    until = Math.max(until, readTime(bytes, flagsAt + 1))
  }
  return { copies, unread, until }
}

/** Unread copies, those in pages too. */
export const unreadOf = (head: Buffer): number =>
  head.readUInt16BE(UNREAD_AT) + countOf(head, copiesAt(head)).unread

export const isFull = (head: Buffer): boolean => {
  let copies = 0
  for (let at = copiesAt(head); at < head.length; at = copyEnd(head, at)) copies += 1
  return copies >= MAX_HEAD_COPIES
}

/** The head without copies, and the page that has them. */
export const divide = (head: Buffer): { head: Buffer; page: Buffer; until: number; expiresAt: number } => {
  const start = copiesAt(head)
  const { unread, until } = countOf(head, start)
  const rest = Buffer.from(head.subarray(0, start))
  writeTime(rest, Math.max(until, pagesUntil(head)), 0)
  rest.writeUInt16BE(Math.min(0xffff, head.readUInt16BE(UNREAD_AT) + unread), UNREAD_AT)
  let expiresAt = 0
  for (let at = start; at < head.length; at = copyEnd(head, at))
    expiresAt = Math.max(expiresAt, copyAt(head, at).expiresAt)
  return { head: rest, page: head.subarray(start), until, expiresAt }
}

/** All of an unread copy but its id: the same for all that one call enqueues. */
export const copyRest = ({
  sentAt,
  expiresAt,
  reference,
  chunk,
}: Pick<Copy, 'sentAt' | 'expiresAt' | 'reference' | 'chunk'>): Buffer => {
  const rest = Buffer.allocUnsafe(COPY_REST_BYTES)
  rest[0] = 0
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

/** The copy there is withdrawn. */
export const withdrawn = (bytes: Buffer, at: number): Buffer => {
  const next = Buffer.from(bytes)
  const flagsAt = at + idLength(bytes, at)
  next[flagsAt] = (next[flagsAt] ?? 0) | FLAGS.withdrawn
  return next
}
