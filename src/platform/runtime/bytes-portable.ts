/**
 * `Bytes` in plain JavaScript: what a browser gets, and the reference that the one on Buffer is held to. The newest
 * Uint8Array methods are not there in all browsers.
 */
import type { Bytes } from './bytes.ts'

const encoder = new TextEncoder()

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

const toHex = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += HEX_PAIRS[byte]
  return text
}

const fromHex = (text: string): Uint8Array | undefined => {
  const bytes = new Uint8Array(text.length >> 1)
  let wrong = text.length % 2
  for (let at = 0; at < bytes.length; at++) {
    const high = valueAt(HEX_VALUES, text, at * 2)
    const low = valueAt(HEX_VALUES, text, at * 2 + 1)
    wrong |= (high | low) & 0xf0
    bytes[at] = (high << 4) | low
  }
  return wrong ? undefined : bytes
}

// ── base64 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const STANDARD = codesOf(`${LETTERS}+/`)
const URL_SAFE = codesOf(`${LETTERS}-_`)
const STANDARD_VALUES = tableOf(`${LETTERS}+/`)
const LENIENT_VALUES = tableOf(`${LETTERS}+/`, { '-': 62, _: 63 })
const PAD = 61

// Arguments of one call; engines take more, not all of them as many.
const CHUNK_LENGTH = 8_192
/** What `TextDecoder` would make of ASCII; not every engine has one. */
const ofAscii = (codes: Uint8Array): string => {
  let text = ''
  for (let at = 0; at < codes.length; at += CHUNK_LENGTH) {
    text += String.fromCharCode(...codes.subarray(at, at + CHUNK_LENGTH))
  }
  return text
}

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
  return ofAscii(out)
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

// ── base58 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** The digits of a number in another base, the largest first. A zero in front stays one. */
const rebase = (digits: Uint8Array, from: number, to: number): number[] => {
  const out: number[] = []
  for (const digit of digits) {
    let carry = digit
    for (const [at, value] of out.entries()) {
      carry += value * from
      out[at] = carry % to
      carry = Math.floor(carry / to)
    }
    for (; carry > 0; carry = Math.floor(carry / to)) out.push(carry % to)
  }
  const first = digits.findIndex((digit) => digit !== 0)
  for (let zeros = first < 0 ? digits.length : first; zeros > 0; zeros--) out.push(0)
  return out.reverse()
}

const fromBase58 = (text: string): Uint8Array | undefined => {
  const digits = Uint8Array.from(text, (char) => BASE58.indexOf(char))
  return digits.includes(NOT_A_DIGIT) ? undefined : Uint8Array.from(rebase(digits, 58, 256))
}

// ── UTF-8 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A decoder that refuses what is not UTF-8; undefined in React Native, whose decoder cannot, or is none. */
const strictDecoder = (() => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  } catch {
    return undefined
  }
})()

const fromUtf8 = (data: Uint8Array): string | undefined => {
  try {
    // The language's own decoder is as strict, and takes ten times as long.
    return strictDecoder?.decode(data) ?? decodeURIComponent(toHex(data).replace(/../g, '%$&'))
  } catch {
    return undefined
  }
}

export const bytes: Bytes = {
  utf8: (text) => encoder.encode(text),
  fromUtf8,
  toHex,
  fromHex,
  toBase64: (data) => encode64(data, STANDARD, true),
  fromBase64: (text) => (text.length % 4 === 0 ? decode64(text, unpadded(text), STANDARD_VALUES) : undefined),
  toBase64url: (data) => encode64(data, URL_SAFE, false),
  fromBase64url(text) {
    const length = unpadded(text)
    const padding = text.length - length
    return padding === 0 || text.length % 4 === 0 ? decode64(text, length, LENIENT_VALUES) : undefined
  },
  toBase58: (data) =>
    rebase(data, 256, 58)
      .map((digit) => BASE58[digit])
      .join(''),
  fromBase58,
}
