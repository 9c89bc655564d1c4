/** `Bytes` for Node, on Buffer, whose decoders pass over what they do not know: so what was read is compared with its spelling. */
import { base58 } from '@scure/base'
import type { Bytes } from './bytes.ts'
import { bytes as portable } from './bytes-portable.ts'

const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Plain bytes over the same memory: a Buffer is a Uint8Array, but slices, prints and compares in its own way. */
const plain = (buffer: Buffer): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const bytes: Bytes = {
  utf8: (text) => plain(Buffer.from(text)),
  fromUtf8(data) {
    try {
      return decoder.decode(data)
    } catch {
      return undefined
    }
  },
  toHex: (data) => view(data).toString('hex'),
  // What is hex is short, and there Buffer would gain nothing.
  fromHex: portable.fromHex,
  toBase64: (data) => view(data).toString('base64'),
  fromBase64(text) {
    const data = Buffer.from(text, 'base64')
    return data.toString('base64') === text ? plain(data) : undefined
  },
  toBase64url: (data) => view(data).toString('base64url'),
  fromBase64url(text) {
    const data = Buffer.from(text, 'base64url')
    // Nearly all that comes is spelled as we would spell it; the other spellings are the portable one's to tell apart.
    return data.toString('base64url') === text ? plain(data) : portable.fromBase64url(text)
  },
  toBase58: (data) => base58.encode(data),
  fromBase58(text) {
    try {
      return base58.decode(text)
    } catch {
      return undefined
    }
  },
}
