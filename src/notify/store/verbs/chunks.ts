/**
 * Receipts, in rows of many: a *chunk* has those that one call began in one partition, so no two calls meet at one when
 * they begin any, and what moves on together is one row mostly.
 *
 *     chunk     expiresAt 6 · begun 6 · place in the outbox 8 · receipts
 *     receipt   length 2 · state 1 · at 6 · id of the copy · of the subscription · account · account key, empty where it follows from the account · reason
 *
 * A state has a bit more while the copy must be sent, which it must also when it was read in the history meanwhile.
 * A text is its length, 1 byte, and its bytes. An account that begins anew has another receipt in a later chunk, which counts.
 */
import type { DeliveryState } from '../receipts.ts'
import { idLength, isSame, readTime, TIME_BYTES, unpackId, writeTime } from './ids.ts'

export const MAX_CHUNK_RECEIPTS = 8
export const PLACE_BYTES = 8

export const STATES: Record<DeliveryState, number> = {
  queued: 1,
  published: 2,
  delivered: 3,
  read: 4,
  failed: 5,
}

const UNSENT = 0x80

const PLACE_AT = 2 * TIME_BYTES
const HEAD_BYTES = PLACE_AT + PLACE_BYTES
const STATE_AT = 2
const AT_AT = STATE_AT + 1
const ID_AT = AT_AT + TIME_BYTES

/** CAIP-10 in lower case without its chain, which the key of most accounts is. */
const isKeyOf = (account: string, accountKey: string): boolean => {
  const first = account.indexOf(':')
  const second = account.indexOf(':', first + 1)
  return (
    accountKey.startsWith(account.slice(0, first)) &&
    accountKey.length === account.length - (second - first) &&
    account.slice(second).toLowerCase() === accountKey.slice(first)
  )
}

const keyOf = (account: string): string => {
  const first = account.indexOf(':')
  return account.slice(0, first) + account.slice(account.indexOf(':', first + 1)).toLowerCase()
}

/** Whether any of them must be sent still. */
export const hasUnsent = (chunk: Buffer): boolean => {
  for (let at = HEAD_BYTES; at < chunk.length; at += chunk.readUInt16BE(at))
    if (isUnsent(chunk, at)) return true
  return false
}

export const chunkHead = (expiresAt: number, begun: number, place: Buffer): Buffer => {
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  writeTime(head, expiresAt, 0)
  writeTime(head, begun, TIME_BYTES)
  head.set(place, PLACE_AT)
  return head
}
export const expiresAtOf = (chunk: Buffer): number => readTime(chunk, 0)

/** A receipt that is queued. */
export const newReceipt = (receipt: {
  at: number
  copyId: Buffer
  subscriptionId: Buffer
  account: string
  accountKey: string
}): Buffer => {
  const { at, copyId, subscriptionId, account, accountKey } = receipt
  const key = isKeyOf(account, accountKey) ? '' : accountKey
  const [accountBytes, keyBytes] = [Buffer.byteLength(account), Buffer.byteLength(key)]
  if (accountBytes > 255 || keyBytes > 255) throw new Error('An account is too long')
  const length = ID_AT + copyId.length + subscriptionId.length + 2 + accountBytes + keyBytes
  const bytes = Buffer.allocUnsafe(length)
  bytes.writeUInt16BE(length, 0)
  bytes[STATE_AT] = STATES.queued | UNSENT
  writeTime(bytes, at, AT_AT)
  bytes.set(copyId, ID_AT)
  let end = ID_AT + copyId.length
  bytes.set(subscriptionId, end)
  end += subscriptionId.length
  bytes[end] = accountBytes
  bytes.write(account, end + 1)
  end += 1 + accountBytes
  bytes[end] = keyBytes
  if (keyBytes > 0) bytes.write(key, end + 1)
  return bytes
}

/** Where the receipt of the copy is; -1: nowhere. */
export const findReceipt = (chunk: Buffer, copyId: Buffer): number => {
  for (let at = HEAD_BYTES; at < chunk.length; at += chunk.readUInt16BE(at))
    if (isSame(chunk, at + ID_AT, copyId)) return at
  return -1
}

export const stateAt = (chunk: Buffer, at: number): number => (chunk[at + STATE_AT] ?? 0) & ~UNSENT
export const isUnsent = (chunk: Buffer, at: number): boolean => ((chunk[at + STATE_AT] ?? 0) & UNSENT) !== 0
/** In a chunk that is the caller's own. */
export const markSent = (chunk: Buffer, at: number): void => {
  chunk[at + STATE_AT] = stateAt(chunk, at)
}

/** Moves the receipt there on, in a chunk that is the caller's own. */
export const moveReceipt = (chunk: Buffer, at: number, state: number, when: number): void => {
  chunk[at + STATE_AT] = state | ((chunk[at + STATE_AT] ?? 0) & UNSENT)
  writeTime(chunk, when, at + AT_AT)
}

/** The same with a reason behind it. */
export const failReceipt = (chunk: Buffer, at: number, when: number, reason: string): Buffer => {
  const end = at + chunk.readUInt16BE(at)
  const next = Buffer.concat([chunk.subarray(0, end), Buffer.from(reason), chunk.subarray(end)])
  next.writeUInt16BE(end - at + Buffer.byteLength(reason), at)
  moveReceipt(next, at, STATES.failed, when)
  return next
}

export const subscriptionAt = (chunk: Buffer, at: number): Buffer => {
  const start = at + ID_AT + idLength(chunk, at + ID_AT)
  return chunk.subarray(start, start + idLength(chunk, start))
}

export interface ReceiptFacts {
  copyId: string
  subscriptionId: string
  isUnsent: boolean
  account: string
  accountKey: string
  state: number
  at: number
  reason: string
}

/** For pages and counts. */
export const receiptsIn = (chunk: Buffer): ReceiptFacts[] => {
  const found: ReceiptFacts[] = []
  for (let at = HEAD_BYTES; at < chunk.length; at += chunk.readUInt16BE(at)) {
    const subscription = at + ID_AT + idLength(chunk, at + ID_AT)
    const accountAt = subscription + idLength(chunk, subscription)
    const keyAt = accountAt + 1 + (chunk[accountAt] ?? 0)
    const reasonAt = keyAt + 1 + (chunk[keyAt] ?? 0)
    const account = chunk.toString('utf8', accountAt + 1, keyAt)
    found.push({
      copyId: unpackId(chunk, at + ID_AT),
      subscriptionId: unpackId(chunk, subscription),
      isUnsent: isUnsent(chunk, at),
      account,
      accountKey: chunk[keyAt] ? chunk.toString('utf8', keyAt + 1, reasonAt) : keyOf(account),
      state: stateAt(chunk, at),
      at: readTime(chunk, at + AT_AT),
      reason: chunk.toString('utf8', reasonAt, at + chunk.readUInt16BE(at)),
    })
  }
  return found
}
