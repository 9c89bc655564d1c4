/**
 * The index of a topic's live messages: fixed entries, oldest first, so that a walk decodes nothing.
 *
 *     seq 6 · expiresAt 8 · size 4 · publisher 6 · id 16 · payer 8, filled up with zeros
 *
 * The publisher is the beginning of a hash, the id its first 128 bits: the rows of the messages have them whole.
 */
import { createHash } from 'node:crypto'
import { createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'

export const ENTRY_BYTES = 48
export const SEQ_BYTES = 6
export const ID_BYTES = 16
const EXPIRES_AT = SEQ_BYTES
const SIZE_AT = EXPIRES_AT + 8
const PUBLISHER_AT = SIZE_AT + 4
export const PUBLISHER_BYTES = 6
const ID_AT = PUBLISHER_AT + PUBLISHER_BYTES
const PAYER_AT = ID_AT + ID_BYTES

export const writeSeq = (bytes: Buffer, seq: number, at: number): void => {
  bytes.writeUInt16BE(Math.floor(seq / 2 ** 32), at)
  bytes.writeUInt32BE(seq % 2 ** 32, at + 2)
}
export const readSeq = (bytes: Buffer, at: number): number =>
  bytes.readUInt16BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 2)

/** What stands for a client in rows: 48 bits in entries, 128 where it is done with messages. */
export interface Identity {
  /** Whoever finds another one's hash keeps own messages from them, and nothing else. */
  hash: number
  /** A text of 16 bytes. */
  key: string
}

const MAX_IDENTITIES = 10_000
const identities = createBoundedMap<Identity>(MAX_IDENTITIES)
export const identityOf = (clientId: string): Identity => {
  const known = identities.get(clientId)
  if (known !== undefined) return known
  const digest = createHash('sha256').update(clientId).digest()
  const identity = { hash: readSeq(digest, 0), key: digest.toString('latin1', 8, 24) }
  identities.put(clientId, identity)
  return identity
}
export const hashOf = (clientId: string): number => identityOf(clientId).hash

export interface NewEntry {
  seq: number
  expiresAt: number
  size: number
  publisher: number
  id: Buffer
  payer: string
}

export const newEntry = ({ seq, expiresAt, size, publisher, id, payer }: NewEntry): Buffer => {
  const entry = Buffer.allocUnsafe(ENTRY_BYTES)
  writeSeq(entry, seq, 0)
  entry.writeDoubleBE(expiresAt, EXPIRES_AT)
  entry.writeUInt32BE(size, SIZE_AT)
  writeSeq(entry, publisher, PUBLISHER_AT)
  entry.set(id, ID_AT)
  entry.fill(0, PAYER_AT)
  entry.write(payer, PAYER_AT, ENTRY_BYTES - PAYER_AT, 'latin1')
  return entry
}

export const countOf = (entries: Buffer): number => entries.length / ENTRY_BYTES
export const seqAt = (entries: Buffer, nth: number): number => readSeq(entries, nth * ENTRY_BYTES)
export const expiryAt = (entries: Buffer, nth: number): number =>
  entries.readDoubleBE(nth * ENTRY_BYTES + EXPIRES_AT)
export const sizeAt = (entries: Buffer, nth: number): number =>
  entries.readUInt32BE(nth * ENTRY_BYTES + SIZE_AT)
export const publisherAt = (entries: Buffer, nth: number): number =>
  readSeq(entries, nth * ENTRY_BYTES + PUBLISHER_AT)
export const idAt = (entries: Buffer, nth: number): Buffer =>
  entries.subarray(nth * ENTRY_BYTES + ID_AT, nth * ENTRY_BYTES + ID_AT + ID_BYTES)
export const payerAt = (entries: Buffer, nth: number): string => {
  const at = nth * ENTRY_BYTES + PAYER_AT
  const end = entries.indexOf(0, at)
  return entries.toString('latin1', at, end < 0 ? at + 8 : Math.min(end, at + 8))
}

/** The first entry behind `seq`; the count of them where there is none. */
export const firstBehind = (entries: Buffer, seq: number): number => {
  let low = 0
  let high = countOf(entries)
  while (low < high) {
    const middle = (low + high) >> 1
    if (seqAt(entries, middle) <= seq) low = middle + 1
    else high = middle
  }
  return low
}

/** Where the message with this id is; -1: nowhere. */
export const findId = (entries: Buffer, id: Buffer): number => {
  const start = id.readUInt32BE(0)
  for (let at = ID_AT, nth = 0; at < entries.length; at += ENTRY_BYTES, nth++)
    if (entries.readUInt32BE(at) === start && entries.compare(id, 0, ID_BYTES, at, at + ID_BYTES) === 0)
      return nth
  return -1
}

export const entriesFrom = (entries: Buffer, from: number, to = countOf(entries)): Buffer =>
  entries.subarray(from * ENTRY_BYTES, to * ENTRY_BYTES)
