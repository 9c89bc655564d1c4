/**
 * Binary keys. Rows of one thing stand side by side because its key is their common prefix; numbers are 8-byte
 * big-endian doubles, whose bytes sort like the numbers themselves as long as none is negative.
 */

/** 32 bytes from 64 hex characters. Anything else is a defect of the caller: two keys must never be cut to one. */
export const hash = (hex: string): Buffer => {
  const bytes = Buffer.from(hex, 'hex')
  if (hex.length !== 64 || bytes.length !== 32) throw new Error(`Not 64 hex characters: ${hex.slice(0, 80)}`)
  return bytes
}

export const number = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleBE(value)
  return bytes
}

/** LMDB keys end at 1978 bytes; a name must leave room for what stands beside it, and never contain the separator. */
export const name = (text: string): Buffer => {
  const bytes = nameOrNone(text)
  if (!bytes) throw new Error(`Not a usable name: ${text.slice(0, 80)}`)
  return bytes
}

/** For input: undefined for a text that can be no name. */
export const nameOrNone = (text: string): Buffer | undefined => {
  const bytes = Buffer.from(text)
  return bytes.length === 0 || bytes.length > 1024 || bytes.includes(0) ? undefined : bytes
}

const SEPARATOR = Buffer.from([0])
const LAST = Buffer.alloc(64, 0xff)

export const key = (...parts: Buffer[]): Buffer => Buffer.concat(parts)
/** A name followed by more: the separator keeps `a` + `bc` apart from `ab` + `c`. */
export const named = (text: string, ...parts: Buffer[]): Buffer =>
  Buffer.concat([name(text), SEPARATOR, ...parts])
/** Behind every key that starts with these parts and continues with at most 64 bytes. */
export const endOf = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, LAST])
/** Behind `after` itself, before everything that follows it. */
export const behind = (after: Buffer): Buffer => Buffer.concat([after, SEPARATOR])
