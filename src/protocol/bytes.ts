/**
 * Bytes and their spellings: UTF-8, hex, base64, base64url, base58. Every decoder is strict about what cannot be meant
 * (foreign characters, stray bits behind the last byte) and throws a ProtocolError.
 */
import { bytes } from '#bytes'
import { ProtocolError } from './errors.ts'

export const utf8 = (text: string): Uint8Array => bytes.utf8(text)

/** Throws `bad_request` for bytes that are not UTF-8. */
export const fromUtf8 = (data: Uint8Array): string => {
  const text = bytes.fromUtf8(data)
  if (text === undefined) throw new ProtocolError('bad_request', 'it is not UTF-8')
  return text
}

/** Lower case. */
export const toHex = (data: Uint8Array): string => bytes.toHex(data)

/** Either case, without 0x; throws `bad_params`. */
export const fromHex = (text: string): Uint8Array => {
  const data = bytes.fromHex(text)
  if (!data) throw new ProtocolError('bad_params', 'it is not hex')
  return data
}

/** Standard alphabet, padded. */
export const toBase64 = (data: Uint8Array): string => bytes.toBase64(data)

/** Standard alphabet, padding required; throws `bad_params`. */
export const fromBase64 = (text: string): Uint8Array => {
  const data = bytes.fromBase64(text)
  if (!data) throw new ProtocolError('bad_params', 'it is not base64')
  return data
}

/** URL-safe alphabet, no padding. */
export const toBase64url = (data: Uint8Array): string => bytes.toBase64url(data)

/** Either alphabet, padding optional (real clients send all of it); throws `bad_params`. */
export const fromBase64url = (text: string): Uint8Array => {
  const data = bytes.fromBase64url(text)
  if (!data) throw new ProtocolError('bad_params', 'it is not base64url')
  return data
}

// Decoding takes time by the square of the length, and nothing that we read in base58 is longer than a few keys.
const MAX_BASE58_LENGTH = 512

/** Bitcoin alphabet. */
export const toBase58 = (data: Uint8Array): string => bytes.toBase58(data)

/** Bitcoin alphabet; throws `bad_params`. */
export const fromBase58 = (text: string): Uint8Array => {
  const data = text.length <= MAX_BASE58_LENGTH ? bytes.fromBase58(text) : undefined
  if (data) return data
  throw new ProtocolError('bad_params', 'it is not base58')
}

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Takes the same time wherever the first difference is. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  let difference = 0
  for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0)
  return difference === 0
}
