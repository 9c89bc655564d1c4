/**
 * Tables of the LMDB store whose values stand behind a checksum over the table, the key and the value. So a bit that turned
 * on the disk, or a row that stands in another's place, is found when it is read and never served: `DamagedRow` names the
 * table. Keys that are read without their values are looked at when the file is opened (`./file-check/`).
 */
import type { Database, RootDatabase, Transaction } from 'lmdb'
import { DamagedRow } from '../damaged-row.ts'
import { expectKey, type Format, KEY_CODEC, objects, plainBytes, ValueCodec } from './row-codec.ts'

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

/** Where a table is, and who is told of its damaged rows before the error is thrown. */
interface Place {
  openDB: RootDatabase['openDB']
  table: string
  onDamagedRow: (error: DamagedRow, key: Buffer) => void
}

/** No key is before it. With a codec for keys the engine would begin behind it. */
const FIRST = Buffer.from([0])
const boundsOf = (range: RowRange): RowRange => {
  if (range.reverse ? range.end : range.start) return range
  return range.reverse ? { ...range, end: FIRST } : { ...range, start: FIRST }
}

/** Rows up to the first damaged one; a class and no generator, because it is made for every walk. */
class WholeRows<V> implements IterableIterator<{ key: Buffer; value: V }> {
  readonly #rows: Iterator<{ key: Buffer; value: V | DamagedRow }>

  constructor(rows: Iterable<{ key: Buffer; value: V | DamagedRow }>) {
    this.#rows = rows[Symbol.iterator]()
  }

  next() {
    const step = this.#rows.next()
    if (!step.done && step.value.value instanceof DamagedRow) {
      this.#rows.return?.()
      throw step.value.value
    }
    // What was not damaged is a value.
    return step as IteratorResult<{ key: Buffer; value: V }>
  }

  return() {
    this.#rows.return?.()
    return { done: true as const, value: undefined }
  }

  [Symbol.iterator]() {
    return this
  }
}

/** A class, so that all tables share their methods: what calls them in a loop stays fast. */
export class Rows<V> {
  readonly #database: Database<V | DamagedRow, Buffer>

  constructor({ openDB, table, onDamagedRow }: Place, format: Format<V>) {
    const encoder = new ValueCodec(table, format, (key, reason) => {
      const error = new DamagedRow(table, reason)
      onDamagedRow(error, key)
      return error
    })
    // Its types do not have all of its options.
    const options = { name: table, encoding: 'binary', keyEncoder: KEY_CODEC, encoder } as const
    this.#database = openDB(options)
  }

  get(key: Buffer, view?: ReadView): V | undefined {
    const value = view ? this.#database.get(key, view) : this.#database.get(key)
    if (value instanceof DamagedRow) throw value
    return value
  }

  /** Within a transaction, as `remove`. */
  put(key: Buffer, value: V): void {
    expectKey(key)
    this.#database.put(key, value)
  }

  remove(key: Buffer): void {
    this.#database.remove(key)
  }

  getRange(range: RowRange): Iterable<{ key: Buffer; value: V }> {
    return new WholeRows(this.#database.getRange(boundsOf(range)))
  }

  /** Goes on behind a row that is damaged, which has no value here. */
  *getSoundRange(range: RowRange): Iterable<{ key: Buffer; value: V | undefined }> {
    for (const { key, value } of this.#database.getRange(boundsOf(range)))
      yield { key, value: value instanceof DamagedRow ? undefined : value }
  }

  getKeys(range: RowRange): Iterable<Buffer> {
    return this.#database.getKeys(boundsOf(range))
  }

  getKeysCount(range: RowRange): number {
    return this.#database.getKeysCount(boundsOf(range))
  }

  /** Kept by LMDB at the root of the table: no counting. */
  size(): number {
    const { entryCount = 0 }: { entryCount?: number } = this.#database.getStats()
    return entryCount
  }
}

/** A table whose values are plain bytes. */
export type Bytes = Rows<Buffer>

export const createByteRows = (place: Place): Bytes => new Rows(place, plainBytes)

export const createObjectRows = <V>(place: Place): Rows<V> => new Rows(place, objects<V>())
