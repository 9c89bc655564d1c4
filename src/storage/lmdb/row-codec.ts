/**
 * How rows of LMDB stand in the file: the value behind a checksum over the table, the key and the value.
 *
 * The engine is given a codec for keys and one for values, and calls them in this order: to put, it encodes the value and then
 * writes the key; to get, it writes the key and then decodes the value; in a range, it reads each key and then decodes
 * the value. So the key that was last seen is that of the value, which is encoded and decoded once, in the engine's own
 * buffers.
 */
import { Packr, RESERVE_START_SPACE, RESET_BUFFER_MODE } from 'msgpackr'
import { checksum, textChecksum } from '../checksum.ts'
import type { DamagedRow } from '../damaged-row.ts'

export const CHECKSUM_BYTES = 4

/** What the checksums of a table begin with. */
export const rowSeed = (table: string): number => textChecksum(`${table}\0`)

/** A buffer that is used again; `start` and `end` say what of it is meant. The engine goes by them. */
export interface Encoded extends Buffer {
  start?: number
  end?: number
}

/** How a table has its values. */
export interface Format<V> {
  /**
   * The value behind its checksum, which goes on from that of the key. `flags` are the engine's: whether the buffer may be used
   * again for the next value.
   */
  encode(value: V, ofKey: number, flags: number): Encoded
  /** What stands from CHECKSUM_BYTES to `end`. The bytes are overwritten by the next read. */
  decode(bytes: Buffer, end: number): V
}

/** Faster than `slice` of a Buffer, which calls a constructor of Node's. */
const copyOf = (bytes: Uint8Array, start: number, end: number): Buffer => {
  const copy = Buffer.allocUnsafe(end - start)
  copy.set(bytes.subarray(start, end))
  return copy
}

/** The engine's buffers carry properties, and this is one that does not: see `checksum`. */
const createPlainView = () => {
  let known: Uint8Array | undefined
  let view: Uint8Array = new Uint8Array(0)
  return (bytes: Uint8Array): Uint8Array => {
    if (bytes === known) return view
    known = bytes
    view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return view
  }
}
const viewOfRead = createPlainView()
const viewOfKey = createPlainView()
const viewOfObject = createPlainView()

const numberIn = (bytes: Uint8Array): number =>
  (((bytes[0] ?? 0) << 24) | ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)) >>> 0

const putNumber = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** Values up to here are copied into one buffer, where the engine may do so. */
const REUSED_BYTES = 65_536
const reused: Encoded = Buffer.allocUnsafeSlow(REUSED_BYTES)
reused.start = 0
const viewOfReused = new Uint8Array(reused.buffer)

export const plainBytes: Format<Buffer> = {
  encode(value, ofKey, flags) {
    const end = CHECKSUM_BYTES + value.length
    const isReused = (flags & RESET_BUFFER_MODE) !== 0 && end <= REUSED_BYTES
    const bytes = isReused ? reused : Buffer.allocUnsafeSlow(end)
    const view = isReused ? viewOfReused : bytes
    view.set(value, CHECKSUM_BYTES)
    putNumber(view, 0, checksum(value, ofKey))
    if (isReused) reused.end = end
    return bytes
  },
  decode: (bytes, end) => copyOf(viewOfRead(bytes), CHECKSUM_BYTES, end),
}

/** Maps and no records: a definition of a record is dear to read, and would stand before each value that has one. */
const packr = new Packr({ copyBuffers: true, useRecords: false })
const content = { start: CHECKSUM_BYTES, end: 0 }

const encodeObject = (value: unknown, ofKey: number, flags: number): Encoded => {
  const bytes: Encoded = packr.encode(value, flags | RESERVE_START_SPACE | CHECKSUM_BYTES)
  const { start = 0, end = bytes.length } = bytes
  const view = viewOfObject(bytes)
  putNumber(view, start, checksum(view, ofKey, start + CHECKSUM_BYTES, end))
  return bytes
}
/** Nothing but what `put` took is decoded: its checksum says so. */
const decodeObject = <V>(bytes: Buffer, end: number): V => {
  content.end = end
  return packr.decode(bytes, content)
}
export const objects = <V>(): Format<V> => ({ encode: encodeObject, decode: decodeObject })

/** The key that the engine has read or written last, in whichever table. */
let lastKey: Buffer = Buffer.alloc(0)
/** Before a put: the key of the value that is encoded next. */
export const expectKey = (key: Buffer): void => {
  lastKey = key
}

/** Of all tables, because the engine's own loops are fast as long as they call the same function. */
export const KEY_CODEC = {
  writeKey(key: Buffer, target: Buffer, start: number): number {
    lastKey = key
    target.set(key, start)
    return start + key.length
  },
  readKey(source: Buffer, start: number, end: number): Buffer {
    lastKey = copyOf(viewOfKey(source), start, end)
    return lastKey
  },
}

/** What the engine calls for the values of a table. One that is damaged is decoded as an error: a throw would leave a cursor open. */
export class ValueCodec<V> {
  /** The engine passes its flags to a codec that says so. */
  readonly copyBuffers = true
  readonly #seed: number
  readonly #format: Format<V>
  readonly #damaged: (key: Buffer, reason: string) => DamagedRow

  constructor(table: string, format: Format<V>, damaged: (key: Buffer, reason: string) => DamagedRow) {
    this.#seed = rowSeed(table)
    this.#format = format
    this.#damaged = damaged
  }

  encode(value: V, flags: number): Encoded {
    return this.#format.encode(value, checksum(lastKey, this.#seed), flags)
  }

  decode(bytes: Buffer): V | DamagedRow {
    // Of a buffer that is used again the engine sets the length.
    const end = bytes.length
    if (end < CHECKSUM_BYTES) return this.#damaged(lastKey, 'it is too short')
    const view = viewOfRead(bytes)
    if (numberIn(view) !== checksum(view, checksum(lastKey, this.#seed), CHECKSUM_BYTES, end))
      return this.#damaged(lastKey, 'its checksum is another one')
    return this.#format.decode(bytes, end)
  }
}
