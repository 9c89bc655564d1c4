/** How values of rows become bytes, and back. */
import type * as z from 'zod'

export interface Codec<V> {
  /** The value behind so many free bytes, in one Buffer. */
  encodeBehind(free: number, value: V): Buffer
  /** Throws for bytes that are no such value. */
  decode(bytes: Buffer): V
}

/** A text in UTF-8 behind so many free bytes. */
export const textBehind = (free: number, value: string): Buffer => {
  const bytes = Buffer.allocUnsafe(free + Buffer.byteLength(value))
  bytes.write(value, free)
  return bytes
}

/** What the schema takes, as JSON. Rows of an older shape are read by a schema that transforms them. */
export const json = <S extends z.ZodType>(schema: S): Codec<z.output<S>> => ({
  encodeBehind: (free, value) => textBehind(free, JSON.stringify(value)),
  decode: (bytes) => schema.parse(JSON.parse(bytes.toString())),
})

export const text: Codec<string> = { encodeBehind: textBehind, decode: (bytes) => bytes.toString() }

/** An instant, or another number that is not negative. */
export const float: Codec<number> = {
  encodeBehind(free, value) {
    const bytes = Buffer.allocUnsafe(free + 8)
    bytes.writeDoubleBE(value, free)
    return bytes
  },
  decode(bytes) {
    if (bytes.length !== 8) throw new Error('not 8 bytes')
    return bytes.readDoubleBE()
  },
}

/** An index has keys alone: of one that is there, `true` is read. */
export const NOTHING: Codec<true> = { encodeBehind: (free) => Buffer.alloc(free), decode: () => true }
