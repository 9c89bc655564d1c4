/** LMDB's databases of bytes. */
import type { Database } from 'lmdb'

/** A table whose keys and values are plain bytes. */
export type Bytes = Database<Buffer, Buffer>
/** A table whose keys are plain bytes; values are msgpack. */
export type Rows<V> = Database<V, Buffer>

export const BYTES = { keyEncoding: 'binary', encoding: 'binary' } as const
export const ROWS = { keyEncoding: 'binary', encoding: 'msgpack' } as const

/** For tables that are sets: the key says it all. */
export const PRESENT = Buffer.from([1])
