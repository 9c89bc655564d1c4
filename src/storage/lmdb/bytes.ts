/** LMDB's databases, as the engine opens them. */

export const BYTES = { keyEncoding: 'binary', encoding: 'binary' } as const
/** Values are msgpack: of the one table that any version reads. */
export const ROWS = { keyEncoding: 'binary', encoding: 'msgpack' } as const

/** For tables that are sets: the key says it all. */
export const PRESENT = Buffer.from([1])
