/**
 * Rows of the outbox's line: the name of an entry, or a *pointer* to a chunk of receipts: those of them that the mask names and
 * that are unsent are what is to be sent, so that nothing is said twice, and what is sent or cancelled has no other row.
 */
import { type Codec, textBehind } from '../../../storage/codec.ts'
import type { OutboxEntry } from '../records.ts'
import { CHUNK_NAME_BYTES, REFERENCE_BYTES } from './heads.ts'

/** Where receipts are: the bytes of their notification and their chunk, as a text, because many are kept for a while. */
export type ReceiptPlace = string
export const receiptPlaceOf = (reference: Buffer, chunk: Buffer): ReceiptPlace =>
  reference.toString('latin1') + chunk.toString('latin1')
export const referenceIn = (place: ReceiptPlace): Buffer =>
  Buffer.from(place.slice(0, REFERENCE_BYTES), 'latin1')
export const chunkIn = (place: ReceiptPlace): Buffer => Buffer.from(place.slice(REFERENCE_BYTES), 'latin1')

export type LineValue = { entryId: string } | { receipts: ReceiptPlace; mask: number }

const ENTRY_ROW = 0
const POINTER_ROW = 1
const POINTER_BYTES = 2 + REFERENCE_BYTES + CHUNK_NAME_BYTES

export const LINE_VALUE: Codec<LineValue> = {
  encodeBehind(free, row) {
    if ('entryId' in row) {
      const bytes = textBehind(free + 1, row.entryId)
      bytes[free] = ENTRY_ROW
      return bytes
    }
    const bytes = Buffer.allocUnsafe(free + POINTER_BYTES)
    bytes[free] = POINTER_ROW
    bytes[free + 1] = row.mask
    bytes.write(row.receipts, free + 2, 'latin1')
    return bytes
  },
  decode(bytes) {
    if (bytes[0] === ENTRY_ROW) return { entryId: bytes.toString('utf8', 1) }
    if (bytes[0] !== POINTER_ROW || bytes.length !== POINTER_BYTES) throw new Error('its kind is unknown')
    return { receipts: bytes.toString('latin1', 2), mask: bytes[1] ?? 0 }
  },
}

/** An entry that is kept by its id, and where its row of the line is. */
export interface KeptEntry {
  key: Buffer
  entry: OutboxEntry
}

const KEY_BYTES = 8

/** What this room wrote itself, and whose checksum is right. */
export const KEPT_ENTRY: Codec<KeptEntry> = {
  encodeBehind(free, { key, entry }) {
    const bytes = textBehind(free + KEY_BYTES, JSON.stringify(entry))
    bytes.set(key, free)
    return bytes
  },
  decode: (bytes) => ({
    key: bytes.subarray(0, KEY_BYTES),
    entry: JSON.parse(bytes.toString('utf8', KEY_BYTES)),
  }),
}
