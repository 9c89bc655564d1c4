/**
 * Names and values of installations. The name says in which encoding its values are written, where they are texts.
 *
 * | name                         | a value as text                                |
 * |------------------------------|------------------------------------------------|
 * | `xmtp/installation/hex`      | lower-case hex; read with or without `0x`      |
 * | `xmtp/installation/base64`   | padded, `+/`; read in either alphabet          |
 * | `xmtp/installation/base58`   | Bitcoin's alphabet                             |
 *
 * Names may come filled up to 32 bytes, with NUL or spaces, as ERC-1056 has them.
 */
import { fromBase58, fromBase64url, fromHex, toBase58, toBase64, toHex } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'

export interface Attribute {
  /** Without padding. */
  name: string
  value: Uint8Array
}

/** Bytes. */
export const MAX_VALUE_BYTES = 16 * 1024
/** Bytes. Base58 takes time by the square of the length, and everybody may fetch: enough for keys. */
const MAX_BASE58_VALUE_BYTES = 256

const PREFIX = 'xmtp/installation/'
const ENCODINGS = {
  hex: { read: (text: string) => fromHex(text.replace(/^0x/i, '')), write: toHex },
  base64: { read: fromBase64url, write: toBase64 },
  base58: { read: fromBase58, write: toBase58 },
} as const
type Encoding = keyof typeof ENCODINGS

const encodingOf = (name: string): Encoding => {
  const encoding = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : ''
  if (encoding === 'hex' || encoding === 'base64' || encoding === 'base58') return encoding
  throw new ProtocolError('bad_params', 'the name is not xmtp/installation/hex, base64 or base58')
}

const withoutPadding = (text: string): string => {
  let end = text.length
  while (end > 0 && '\0 '.includes(text.charAt(end - 1))) end -= 1
  return text.slice(0, end)
}

/** `padded`: at most 32 characters. Throws `bad_params`. */
export const readName = (padded: string): string => {
  const name = padded.length > 32 ? padded : withoutPadding(padded)
  encodingOf(name)
  return name
}

/** A value is a text in the encoding of its name, or the bytes themselves. Throws `bad_params`. */
export const readAttribute = (padded: string, given: string | Uint8Array): Attribute => {
  const name = readName(padded)
  const encoding = encodingOf(name)
  const value = typeof given === 'string' ? ENCODINGS[encoding].read(given) : given
  const most = encoding === 'base58' ? MAX_BASE58_VALUE_BYTES : MAX_VALUE_BYTES
  if (value.length === 0 || value.length > most) {
    throw new ProtocolError('bad_params', `a value in ${encoding} has 1 to ${most} bytes`)
  }
  return { name, value }
}

export const writeValue = (name: string, value: Uint8Array): string =>
  ENCODINGS[encodingOf(name)].write(value)
