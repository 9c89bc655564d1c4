/** How values of rows become bytes, and back. */
import type { z } from 'zod'

export interface Codec<V> {
  encode(value: V): Buffer
  /** Throws for bytes that are no such value. */
  decode(bytes: Buffer): V
}

/** What the schema takes, as JSON. Rows of an older shape are read by a schema that transforms them. */
export const json = <S extends z.ZodType>(schema: S): Codec<z.output<S>> => ({
  encode: (value) => Buffer.from(JSON.stringify(value)),
  decode: (bytes) => schema.parse(JSON.parse(bytes.toString())),
})

export const text: Codec<string> = {
  encode: (value) => Buffer.from(value),
  decode: (bytes) => bytes.toString(),
}

/** An instant, or another number that is not negative. */
export const float: Codec<number> = {
  encode(value) {
    const bytes = Buffer.allocUnsafe(8)
    bytes.writeDoubleBE(value)
    return bytes
  },
  decode(bytes) {
    if (bytes.length !== 8) throw new Error('not 8 bytes')
    return bytes.readDoubleBE()
  },
}

/** An index has keys alone: of one that is there, `true` is read. */
export const NOTHING: Codec<true> = { encode: () => Buffer.alloc(0), decode: () => true }
