/**
 * Receipts, in rows of many: a *chunk* has those that one call began in one partition, so no two calls meet at one when
 * they begin any, and what moves on together is one row mostly.
 *
 *     chunk     expiresAt 6 · sentAt 6 · number of pointers 1 · pointers · length 2 · names · receipts
 *     pointer   createdAt 8 · key 8 · mask 1
 *     names     until when entries are sent 6 · project · 0 · domain · 0 · id of the notification
 *     receipt   length 2 · state 1 · at 6 · id of the copy · of the subscription · account · account key, empty where it follows
 *               from the account · reason
 *
 * A *pointer* is a row of the outbox: by its mask it stands for some of the receipts, in their order. A state has a bit more while
 * the copy must be sent, which it must also when it was read in the history meanwhile. A text is its length, 1 byte, and its bytes.
 * An account that begins anew has another receipt in a later chunk, which counts; one that was forgotten leaves an empty place.
 */
import type { DeliveryState } from '../receipts.ts'
import { idLength, isSame, NO_ID, readTime, TIME_BYTES, unpackId, writeTime } from './ids.ts'

/** So many bits has a mask. */
export const MAX_CHUNK_RECEIPTS = 8

export const STATES: Record<DeliveryState, number> = {
  queued: 1,
  published: 2,
  delivered: 3,
  read: 4,
  failed: 5,
}
const FORGOTTEN = 0
const UNSENT = 0x80

const SENT_AT = TIME_BYTES
const COUNT_AT = 2 * TIME_BYTES
const POINTERS_AT = COUNT_AT + 1
const KEY_BYTES = 8
const POINTER_BYTES = 8 + KEY_BYTES + 1
const STATE_AT = 2
const AT_AT = STATE_AT + 1
const ID_AT = AT_AT + TIME_BYTES

/** CAIP-10 in lower case without its chain, which the key of most accounts is. */
const isKeyOf = (account: string, accountKey: string): boolean => {
  const first = account.indexOf(':')
  const second = account.indexOf(':', first + 1)
  return (
    first > 0 &&
    second > first &&
    accountKey.startsWith(account.slice(0, first)) &&
    accountKey.length === account.length - (second - first) &&
    account.slice(second).toLowerCase() === accountKey.slice(first)
  )
}

const keyOf = (account: string): string => {
  const first = account.indexOf(':')
  return account.slice(0, first) + account.slice(account.indexOf(':', first + 1)).toLowerCase()
}

// ── the chunk ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** What the entries of a chunk have in common. */
export interface ChunkNames {
  /** Empty: none. */
  projectId: string
  domain: string
  notificationId: string
  expiresAt: number
}

export const packNames = ({ projectId, domain, notificationId, expiresAt }: ChunkNames): Buffer => {
  const text = Buffer.from(`${projectId}\0${domain}\0${notificationId}`)
  const names = Buffer.allocUnsafe(TIME_BYTES + text.length)
  writeTime(names, expiresAt, 0)
  names.set(text, TIME_BYTES)
  return names
}

/** A row of the outbox that stands for receipts of a chunk. */
export interface Pointer {
  /** Of its entries. */
  createdAt: number
  key: Buffer
  mask: number
}

export const newChunk = (chunk: {
  expiresAt: number
  sentAt: number
  pointers: readonly Pointer[]
  names: Buffer
  receipts: readonly Buffer[]
}): Buffer => {
  const { expiresAt, sentAt, pointers, names, receipts } = chunk
  const namesAt = POINTERS_AT + pointers.length * POINTER_BYTES
  const head = Buffer.allocUnsafe(namesAt + 2)
  writeTime(head, expiresAt, 0)
  writeTime(head, sentAt, SENT_AT)
  head[COUNT_AT] = pointers.length
  for (const [nth, { createdAt, key, mask }] of pointers.entries()) {
    const at = POINTERS_AT + nth * POINTER_BYTES
    head.writeDoubleBE(createdAt, at)
    head.set(key, at + 8)
    head[at + 8 + KEY_BYTES] = mask
  }
  head.writeUInt16BE(names.length, namesAt)
  return Buffer.concat([head, names, ...receipts])
}

export const expiresAtOf = (chunk: Buffer): number => readTime(chunk, 0)
export const sentAtOf = (chunk: Buffer): number => readTime(chunk, SENT_AT)
const namesAt = (chunk: Buffer): number => POINTERS_AT + (chunk[COUNT_AT] ?? 0) * POINTER_BYTES
const receiptsAt = (chunk: Buffer): number => {
  const at = namesAt(chunk)
  return at + 2 + chunk.readUInt16BE(at)
}

export const namesOf = (chunk: Buffer): ChunkNames => {
  const at = namesAt(chunk) + 2
  const text = chunk.toString('utf8', at + TIME_BYTES, receiptsAt(chunk))
  const first = text.indexOf('\0')
  const second = text.indexOf('\0', first + 1)
  return {
    projectId: text.slice(0, first),
    domain: text.slice(first + 1, second),
    notificationId: text.slice(second + 1),
    expiresAt: readTime(chunk, at),
  }
}

export const pointersOf = (chunk: Buffer): Pointer[] =>
  Array.from({ length: chunk[COUNT_AT] ?? 0 }, (_, nth) => {
    const at = POINTERS_AT + nth * POINTER_BYTES
    return {
      createdAt: chunk.readDoubleBE(at),
      key: chunk.subarray(at + 8, at + 8 + KEY_BYTES),
      mask: chunk[at + 8 + KEY_BYTES] ?? 0,
    }
  })

export const withPointers = (chunk: Buffer, pointers: readonly Pointer[]): Buffer => {
  const at = namesAt(chunk)
  const start = receiptsAt(chunk)
  return newChunk({
    ...{ expiresAt: expiresAtOf(chunk), sentAt: sentAtOf(chunk), pointers },
    names: chunk.subarray(at + 2, start),
    receipts: [chunk.subarray(start)],
  })
}

/** The bits of those that must be sent still. */
export const unsentMask = (chunk: Buffer): number => {
  let [mask, bit] = [0, 1]
  for (let at = receiptsAt(chunk); at < chunk.length; at += chunk.readUInt16BE(at)) {
    if (isUnsent(chunk, at)) mask |= bit
    bit <<= 1
  }
  return mask
}

export const bitsOf = (mask: number): number => {
  let bits = 0
  for (let rest = mask; rest > 0; rest &= rest - 1) bits += 1
  return bits
}

// ── a receipt ───────────────────────────────────────────────────────────────────────────────────────────────────────

export const newReceipt = (receipt: {
  state: DeliveryState
  isUnsent: boolean
  at: number
  /** Packed; `NO_ID` for an account that was refused. */
  copyId: Buffer
  subscriptionId: Buffer
  account: string
  accountKey: string
  reason?: string | undefined
}): Buffer => {
  const { state, at, copyId, subscriptionId, account, accountKey, reason = '' } = receipt
  const key = isKeyOf(account, accountKey) ? '' : accountKey
  const [accountBytes, keyBytes] = [Buffer.byteLength(account), Buffer.byteLength(key)]
  if (accountBytes > 255 || keyBytes > 255) throw new Error('An account is too long')
  const start = ID_AT + copyId.length + subscriptionId.length
  const length = start + 2 + accountBytes + keyBytes + Buffer.byteLength(reason)
  const bytes = Buffer.allocUnsafe(length)
  bytes.writeUInt16BE(length, 0)
  bytes[STATE_AT] = STATES[state] | (receipt.isUnsent ? UNSENT : 0)
  writeTime(bytes, at, AT_AT)
  bytes.set(copyId, ID_AT)
  bytes.set(subscriptionId, ID_AT + copyId.length)
  bytes[start] = accountBytes
  bytes.write(account, start + 1)
  const keyAt = start + 1 + accountBytes
  bytes[keyAt] = keyBytes
  if (keyBytes > 0) bytes.write(key, keyAt + 1)
  if (reason !== '') bytes.write(reason, keyAt + 1 + keyBytes)
  return bytes
}

/** Where the receipt of the copy is; -1: nowhere. */
export const findReceipt = (chunk: Buffer, copyId: Buffer): number => {
  for (let at = receiptsAt(chunk); at < chunk.length; at += chunk.readUInt16BE(at))
    if (isSame(chunk, at + ID_AT, copyId)) return at
  return -1
}

export const stateAt = (chunk: Buffer, at: number): number => (chunk[at + STATE_AT] ?? 0) & ~UNSENT
export const isUnsent = (chunk: Buffer, at: number): boolean => ((chunk[at + STATE_AT] ?? 0) & UNSENT) !== 0

// Of chunks that are the caller's own.
export const markSent = (chunk: Buffer, at: number): void => {
  chunk[at + STATE_AT] = stateAt(chunk, at)
}
export const moveReceipt = (chunk: Buffer, at: number, state: number, when: number): void => {
  chunk[at + STATE_AT] = state | ((chunk[at + STATE_AT] ?? 0) & UNSENT)
  writeTime(chunk, when, at + AT_AT)
}

/** The chunk with the receipt there failed, and the reason behind it; nothing of it is sent any more. */
export const failReceipt = (chunk: Buffer, at: number, when: number, reason: string): Buffer => {
  const end = at + chunk.readUInt16BE(at)
  const next = Buffer.concat([chunk.subarray(0, end), Buffer.from(reason), chunk.subarray(end)])
  next.writeUInt16BE(end - at + Buffer.byteLength(reason), at)
  moveReceipt(next, at, STATES.failed, when)
  markSent(next, at)
  return next
}

/** The chunk with an empty place in place of the receipt. */
const EMPTY = Buffer.concat([Buffer.alloc(ID_AT), NO_ID, NO_ID, Buffer.alloc(2)])
EMPTY.writeUInt16BE(EMPTY.length, 0)
const withoutReceipt = (chunk: Buffer, at: number): Buffer =>
  Buffer.concat([chunk.subarray(0, at), EMPTY, chunk.subarray(at + chunk.readUInt16BE(at))])

/** The chunk without receipts of the account; undefined where it has none. */
export const forgotten = (chunk: Buffer, accountKey: string): Buffer | undefined => {
  let next = chunk
  for (const { place } of receiptsIn(chunk)
    .filter((one) => one.accountKey === accountKey)
    .reverse())
    next = withoutReceipt(next, place)
  return next === chunk ? undefined : next
}

const subscriptionAt = (chunk: Buffer, at: number): number => at + ID_AT + idLength(chunk, at + ID_AT)
export const subscriptionIdAt = (chunk: Buffer, at: number): string =>
  unpackId(chunk, subscriptionAt(chunk, at))

/** A receipt in its chunk. What it says is read when somebody asks: of many only the state is wanted. */
export class ReceiptFacts {
  readonly #chunk: Buffer
  /** Where it is in its chunk. */
  readonly place: number
  readonly bit: number
  readonly state: number
  #accountKey: string | undefined
  constructor(chunk: Buffer, place: number, bit: number) {
    this.#chunk = chunk
    this.place = place
    this.bit = bit
    this.state = stateAt(chunk, place)
  }
  get isUnsent(): boolean {
    return isUnsent(this.#chunk, this.place)
  }
  get at(): number {
    return readTime(this.#chunk, this.place + AT_AT)
  }
  get copyId(): Buffer {
    return this.#chunk.subarray(this.place + ID_AT, subscriptionAt(this.#chunk, this.place))
  }
  get subscriptionId(): string {
    return subscriptionIdAt(this.#chunk, this.place)
  }
  get #accountAt(): number {
    const subscription = subscriptionAt(this.#chunk, this.place)
    return subscription + idLength(this.#chunk, subscription)
  }
  #keyAt(accountAt: number): number {
    return accountAt + 1 + (this.#chunk[accountAt] ?? 0)
  }
  get account(): string {
    const at = this.#accountAt
    return this.#chunk.toString('utf8', at + 1, this.#keyAt(at))
  }
  get accountKey(): string {
    if (this.#accountKey !== undefined) return this.#accountKey
    const at = this.#accountAt
    const keyAt = this.#keyAt(at)
    const keyBytes = this.#chunk[keyAt] ?? 0
    this.#accountKey =
      keyBytes > 0
        ? this.#chunk.toString('utf8', keyAt + 1, keyAt + 1 + keyBytes)
        : keyOf(this.#chunk.toString('utf8', at + 1, keyAt))
    return this.#accountKey
  }
  get reason(): string {
    const keyAt = this.#keyAt(this.#accountAt)
    const start = keyAt + 1 + (this.#chunk[keyAt] ?? 0)
    return this.#chunk.toString('utf8', start, this.place + this.#chunk.readUInt16BE(this.place))
  }
}

/** Those that were not forgotten. */
export const receiptsIn = (chunk: Buffer): ReceiptFacts[] => {
  const found: ReceiptFacts[] = []
  let bit = 1
  for (let at = receiptsAt(chunk); at < chunk.length; at += chunk.readUInt16BE(at), bit <<= 1)
    if (stateAt(chunk, at) !== FORGOTTEN) found.push(new ReceiptFacts(chunk, at, bit))
  return found
}
