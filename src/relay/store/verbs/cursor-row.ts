/**
 * What the clients of one topic are done with, in one row: an acknowledgement writes this row alone.
 *
 *     client 16 · cursor 6 · due 6 · dueUntil 8 · ranges 2 · from 6 and to 6 of each range
 */
import type { Codec } from '../../../storage/codec.ts'
import { rangeEnd } from '../ranges.ts'
import { readSeq, SEQ_BYTES, writeSeq } from './entries.ts'

/**
 * One client in one topic. Everything up to `cursor` is done with, and `acked` beyond it. `due` is the first message that is
 * not, where it is known, and `dueUntil` when it expires: until then nobody looks for it again.
 */
export interface Cursor {
  /** The key of the client's identity. */
  readonly key: string
  readonly cursor: number
  readonly due: number
  readonly dueUntil: number
  readonly acked: readonly number[]
}

const KEY_BYTES = 16
const CURSOR_BYTES = KEY_BYTES + 2 * SEQ_BYTES + 8 + 2

export const newCursor = (key: string): Cursor => ({ key, cursor: 0, due: 0, dueUntil: 0, acked: [] })

export const isDone = ({ cursor, acked }: Cursor, seq: number): boolean =>
  seq <= cursor || (acked.length > 0 && rangeEnd(acked, seq) !== undefined)

export const CURSORS_CODEC: Codec<readonly Cursor[]> = {
  encodeBehind(free, cursors) {
    let length = free
    for (const { acked } of cursors) length += CURSOR_BYTES + SEQ_BYTES * acked.length
    const bytes = Buffer.allocUnsafe(length)
    let at = free
    for (const { key, cursor, due, dueUntil, acked } of cursors) {
      bytes.write(key, at, KEY_BYTES, 'latin1')
      writeSeq(bytes, cursor, at + KEY_BYTES)
      writeSeq(bytes, due, at + KEY_BYTES + SEQ_BYTES)
      bytes.writeDoubleBE(dueUntil, at + KEY_BYTES + 2 * SEQ_BYTES)
      bytes.writeUInt16BE(acked.length / 2, at + CURSOR_BYTES - 2)
      at += CURSOR_BYTES
      for (const seq of acked) {
        writeSeq(bytes, seq, at)
        at += SEQ_BYTES
      }
    }
    return bytes
  },
  decode(bytes) {
    const cursors: Cursor[] = []
    for (let at = 0; at < bytes.length; ) {
      const rangesAt = at + CURSOR_BYTES
      const end = rangesAt + 2 * SEQ_BYTES * bytes.readUInt16BE(rangesAt - 2)
      const acked: number[] = []
      for (let next = rangesAt; next < end; next += SEQ_BYTES) acked.push(readSeq(bytes, next))
      cursors.push({
        key: bytes.toString('latin1', at, at + KEY_BYTES),
        cursor: readSeq(bytes, at + KEY_BYTES),
        due: readSeq(bytes, at + KEY_BYTES + SEQ_BYTES),
        dueUntil: bytes.readDoubleBE(at + KEY_BYTES + 2 * SEQ_BYTES),
        acked,
      })
      at = end
    }
    return cursors
  },
}
