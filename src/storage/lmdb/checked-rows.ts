/**
 * Tables of the LMDB store whose values stand behind a checksum over the table, the key and the value. So a bit that turned
 * on the disk, or a row that stands in another's place, is found when it is read and never served: `DamagedRow` names the
 * table. Keys that are read without their values are looked at when the file is opened (`./file-check/`).
 */
import type { Database, Transaction } from 'lmdb'
import { Packr, RESERVE_START_SPACE } from 'msgpackr'
import { checksum, textChecksum } from '../checksum.ts'
import { DamagedRow } from '../damaged-row.ts'

/** Reads as of this transaction; without one, as of now. */
export interface ReadView {
  transaction?: Transaction
}

interface RowRange extends ReadView {
  start?: Buffer
  end?: Buffer
  limit?: number
  reverse?: boolean
  inclusiveEnd?: boolean
}

export interface Rows<V> {
  get(key: Buffer, view?: ReadView): V | undefined
  /** Within a transaction, as `remove`. */
  put(key: Buffer, value: V): void
  remove(key: Buffer): void
  getRange(range: RowRange): Iterable<{ key: Buffer; value: V }>
  getKeys(range: RowRange): Iterable<Buffer>
  getKeysCount(range: RowRange): number
  /** Kept by LMDB at the root of the table: no counting. */
  size(): number
}
/** A table whose values are plain bytes. */
export type Bytes = Rows<Buffer>

export const CHECKSUM_BYTES = 4

/** What the checksums of a table begin with. */
export const rowSeed = (table: string): number => textChecksum(`${table}\0`)

interface Format<V> {
  /** The value behind room for the checksum. */
  encode(value: V): Buffer
  /** The value behind the checksum. The bytes are overwritten by the next read. */
  decode(bytes: Buffer): V
}

const plainBytes: Format<Buffer> = {
  encode(value) {
    const bytes = Buffer.allocUnsafe(CHECKSUM_BYTES + value.length)
    bytes.set(value, CHECKSUM_BYTES)
    return bytes
  },
  decode(bytes) {
    const value = Buffer.allocUnsafe(bytes.length - CHECKSUM_BYTES)
    bytes.copy(value, 0, CHECKSUM_BYTES, bytes.length)
    return value
  },
}

const packr = new Packr()
/** Nothing but what `put` took is decoded: its checksum says so. */
const objects = <V>(): Format<V> => ({
  encode: (value) => packr.encode(value, RESERVE_START_SPACE | CHECKSUM_BYTES),
  decode: (bytes): V => packr.decode(bytes, { start: CHECKSUM_BYTES, end: bytes.length }),
})

/** Where a table is, and who is told of its damaged rows before the error is thrown. */
interface Place {
  database: Database<Buffer, Buffer>
  table: string
  onDamagedRow: (error: DamagedRow, key: Buffer) => void
}

const createRows = <V>({ database, table, onDamagedRow }: Place, format: Format<V>): Rows<V> => {
  const seed = rowSeed(table)
  const damaged = (key: Buffer, reason: string): DamagedRow => {
    const error = new DamagedRow(table, reason)
    onDamagedRow(error, key)
    return error
  }

  const open = (key: Buffer, bytes: Buffer): V => {
    if (bytes.length < CHECKSUM_BYTES) throw damaged(key, 'it is too short')
    if (bytes.readUInt32BE(0) !== checksum(bytes, checksum(key, seed), CHECKSUM_BYTES))
      throw damaged(key, 'its checksum is another one')
    return format.decode(bytes)
  }

  return {
    get(key, view) {
      const bytes = view ? database.get(key, view) : database.getBinaryFast(key)
      return bytes && open(key, bytes)
    },
    put(key, value) {
      const bytes = format.encode(value)
      bytes.writeUInt32BE(checksum(bytes, checksum(key, seed), CHECKSUM_BYTES))
      database.put(key, bytes)
    },
    remove(key) {
      database.remove(key)
    },
    getRange: (range) => database.getRange(range).map(({ key, value }) => ({ key, value: open(key, value) })),
    getKeys: (range) => database.getKeys(range),
    getKeysCount: (range) => database.getKeysCount(range),
    size() {
      const { entryCount = 0 }: { entryCount?: number } = database.getStats()
      return entryCount
    },
  }
}

export const createByteRows = (place: Place): Bytes => createRows(place, plainBytes)

export const createObjectRows = <V>(place: Place): Rows<V> => createRows(place, objects<V>())
