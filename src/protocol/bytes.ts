/**
 * Bytes and their spellings: UTF-8, hex, base64, base64url, base58. Every decoder is strict about what cannot be meant
 * (foreign characters, stray bits behind the last byte) and throws a ProtocolError.
 *
 * Hex and base64 are written out here because they run on every message of a relay and neither Buffer nor the newest
 * Uint8Array methods are there on all platforms.
 */
import { base58 } from '@scure/base'
import { ProtocolError } from './errors.ts'

const encoder = new TextEncoder()
// A byte order mark is content like any other: what was sealed must come out again.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const latin1 = new TextDecoder('latin1')

export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** Throws `bad_request` for bytes that are not UTF-8. */
export const fromUtf8 = (bytes: Uint8Array): string => {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new ProtocolError('bad_request', 'it is not UTF-8', { cause })
  }
}

const NOT_A_DIGIT = 255
const tableOf = (alphabet: string, more: Record<string, number> = {}): Uint8Array => {
  const table = new Uint8Array(256).fill(NOT_A_DIGIT)
  for (let value = 0; value < alphabet.length; value++) table[alphabet.charCodeAt(value)] = value
  for (const [char, value] of Object.entries(more)) table[char.charCodeAt(0)] = value
  return table
}
const codesOf = (alphabet: string): Uint8Array => encoder.encode(alphabet)
/** Value of the character, or something above the alphabet. */
const valueAt = (table: Uint8Array, text: string, at: number): number =>
  table[text.charCodeAt(at)] ?? NOT_A_DIGIT

// ── hex ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const HEX_PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const HEX_VALUES = tableOf('0123456789abcdef', { A: 10, B: 11, C: 12, D: 13, E: 14, F: 15 })

/** Lower case. */
export const toHex = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += HEX_PAIRS[byte]
  return text
}

/** Either case, without 0x; throws `bad_params`. */
export const fromHex = (text: string): Uint8Array => {
  const bytes = new Uint8Array(text.length >> 1)
  let wrong = text.length % 2
  for (let at = 0; at < bytes.length; at++) {
    const high = valueAt(HEX_VALUES, text, at * 2)
    const low = valueAt(HEX_VALUES, text, at * 2 + 1)
    wrong |= (high | low) & 0xf0
    bytes[at] = (high << 4) | low
  }
  if (wrong) throw new ProtocolError('bad_params', 'it is not hex')
  return bytes
}

// ── base64 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const STANDARD = codesOf(`${LETTERS}+/`)
const URL_SAFE = codesOf(`${LETTERS}-_`)
const STANDARD_VALUES = tableOf(`${LETTERS}+/`)
const LENIENT_VALUES = tableOf(`${LETTERS}+/`, { '-': 62, _: 63 })
const PAD = 61

const encode64 = (bytes: Uint8Array, alphabet: Uint8Array, padded: boolean): string => {
  const { length } = bytes
  const rest = length % 3
  const digits = Math.ceil((length * 4) / 3)
  const out = new Uint8Array(padded ? Math.ceil(length / 3) * 4 : digits).fill(PAD)
  const digit = (value: number): number => alphabet[value & 63] ?? PAD
  const whole = length - rest
  let at = 0
  for (let from = 0; from < whole; from += 3, at += 4) {
    const word = ((bytes[from] ?? 0) << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0)
    out[at] = digit(word >> 18)
    out[at + 1] = digit(word >> 12)
    out[at + 2] = digit(word >> 6)
    out[at + 3] = digit(word)
  }
  if (rest > 0) {
    const word = ((bytes[whole] ?? 0) << 16) | (rest === 2 ? (bytes[whole + 1] ?? 0) << 8 : 0)
    out[at] = digit(word >> 18)
    out[at + 1] = digit(word >> 12)
    if (rest === 2) out[at + 2] = digit(word >> 6)
  }
  return latin1.decode(out)
}

/** The first `length` characters, which are digits only; undefined when they are not. */
const decode64 = (text: string, length: number, table: Uint8Array): Uint8Array | undefined => {
  const rest = length % 4
  if (rest === 1) return undefined
  const bytes = new Uint8Array((length * 3) >> 2)
  let wrong = 0
  let at = 0
  const whole = length - rest
  for (let from = 0; from < whole; from += 4) {
    const a = valueAt(table, text, from)
    const b = valueAt(table, text, from + 1)
    const c = valueAt(table, text, from + 2)
    const d = valueAt(table, text, from + 3)
    wrong |= a | b | c | d
    bytes[at++] = (a << 2) | (b >> 4)
    bytes[at++] = (b << 4) | (c >> 2)
    bytes[at++] = (c << 6) | d
  }
  if (rest > 0) {
    const a = valueAt(table, text, whole)
    const b = valueAt(table, text, whole + 1)
    const c = rest === 3 ? valueAt(table, text, whole + 2) : 0
    wrong |= a | b | c
    // The bits behind the last byte must be zero, or two texts would mean the same bytes.
    if (rest === 2 ? b & 15 : c & 3) return undefined
    bytes[at++] = (a << 2) | (b >> 4)
    if (rest === 3) bytes[at++] = (b << 4) | (c >> 2)
  }
  return wrong & 0xc0 ? undefined : bytes
}

/** How many characters there are before the padding. */
const unpadded = (text: string): number => {
  let length = text.length
  while (length > 0 && text.length - length < 2 && text.charCodeAt(length - 1) === PAD) length--
  return length
}

/** Standard alphabet, padded. */
export const toBase64 = (bytes: Uint8Array): string => encode64(bytes, STANDARD, true)

/** Standard alphabet, padding required; throws `bad_params`. */
export const fromBase64 = (text: string): Uint8Array => {
  const bytes = text.length % 4 === 0 ? decode64(text, unpadded(text), STANDARD_VALUES) : undefined
  if (!bytes) throw new ProtocolError('bad_params', 'it is not base64')
  return bytes
}

/** URL-safe alphabet, no padding. */
export const toBase64url = (bytes: Uint8Array): string => encode64(bytes, URL_SAFE, false)

/** Either alphabet, padding optional (real clients send all of it); throws `bad_params`. */
export const fromBase64url = (text: string): Uint8Array => {
  const length = unpadded(text)
  const padding = text.length - length
  const bytes = padding === 0 || text.length % 4 === 0 ? decode64(text, length, LENIENT_VALUES) : undefined
  if (!bytes) throw new ProtocolError('bad_params', 'it is not base64url')
  return bytes
}

// ── base58 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

// Decoding takes time by the square of the length, and nothing that we read in base58 is longer than a few keys.
const MAX_BASE58_LENGTH = 512

/** Bitcoin alphabet. */
export const toBase58 = (bytes: Uint8Array): string => base58.encode(bytes)

/** Bitcoin alphabet; throws `bad_params`. */
export const fromBase58 = (text: string): Uint8Array => {
  try {
    if (text.length <= MAX_BASE58_LENGTH) return base58.decode(text)
  } catch {
    // Said below.
  }
  throw new ProtocolError('bad_params', 'it is not base58')
}

// ── together ────────────────────────────────────────────────────────────────────────────────────────────────────────

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
