/**
 * Rows of the outbox: an entry, or a *pointer* to a chunk of receipts: those of them that are unsent are what is to be sent,
 * so that nothing is said twice, and what is cancelled or sent needs no other row.
 */
import { type Codec, textBehind } from '../../../storage/codec.ts'
import type { OutboxEntry } from '../records.ts'
import { CHUNK_NAME_BYTES, REFERENCE_BYTES } from './heads.ts'

/** Where a receipt is: the bytes of its notification and its chunk, as a text, because many are kept for a while. */
export type ReceiptPlace = string
export const receiptPlaceOf = (reference: Buffer, chunk: Buffer): ReceiptPlace =>
  reference.toString('latin1') + chunk.toString('latin1')
export const referenceIn = (place: ReceiptPlace): Buffer =>
  Buffer.from(place.slice(0, REFERENCE_BYTES), 'latin1')
export const chunkIn = (place: ReceiptPlace): Buffer => Buffer.from(place.slice(REFERENCE_BYTES), 'latin1')

/** What the entries of a chunk have in common. */
export interface Pointer {
  receipts: ReceiptPlace
  projectId: string
  domain: string
  notificationId: string
  expiresAt: number
}
export type OutboxRow = { entry: OutboxEntry } | { pointer: Pointer }

const ENTRY_ROW = 0
const POINTER_ROW = 1
const HEAD_BYTES = 1 + REFERENCE_BYTES + CHUNK_NAME_BYTES
const SEPARATOR = '\0'

export const OUTBOX_ROW: Codec<OutboxRow> = {
  encodeBehind(free, row) {
    if ('entry' in row) {
      const bytes = textBehind(free + 1, JSON.stringify(row.entry))
      bytes[free] = ENTRY_ROW
      return bytes
    }
    const { receipts, projectId, domain, notificationId, expiresAt } = row.pointer
    const text = [projectId, domain, notificationId, expiresAt].join(SEPARATOR)
    const bytes = textBehind(free + HEAD_BYTES, text)
    bytes[free] = POINTER_ROW
    bytes.write(receipts, free + 1, 'latin1')
    return bytes
  },
  decode(bytes) {
    if (bytes[0] === ENTRY_ROW) return { entry: JSON.parse(bytes.toString('utf8', 1)) }
    if (bytes[0] !== POINTER_ROW) throw new Error('its kind is unknown')
    const [projectId = '', domain = '', notificationId = '', expiresAt] = bytes
      .toString('utf8', HEAD_BYTES)
      .split(SEPARATOR)
    const receipts = bytes.toString('latin1', 1, HEAD_BYTES)
    return { pointer: { receipts, projectId, domain, notificationId, expiresAt: Number(expiresAt) } }
  },
}
