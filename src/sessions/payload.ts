/**
 * How a session's messages travel over a relay that must not read them: standard base64, with padding, of
 *
 *     iv[12] | ciphertext | tag[16]
 *
 * AES-256-GCM without AAD, by the platform's WebCrypto: the same in Node and in browsers, where it wants a page that came
 * over https or from this machine.
 */
import { crypto } from '#crypto'
import { concat, fromBase64, fromBase64url, fromHex, fromUtf8, toBase64, utf8 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'

const KEY_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16

const HEX = /^[0-9a-fA-F]{64}$/
/** 32 bytes are 43 digits of one of the two alphabets; a padding character may follow. */
const BASE64 = /^(?:[A-Za-z0-9+/]{43}|[A-Za-z0-9_-]{43})=?$/

/** 64 hex digits, base64 or base64url of 32 bytes, in this order. Throws `bad_params`, and never guesses. */
export const parseSessionKey = (text: string): Uint8Array => {
  if (HEX.test(text)) return fromHex(text)
  if (BASE64.test(text)) return fromBase64url(text)
  throw new ProtocolError('bad_params', 'the key must be 32 bytes in hex, base64 or base64url')
}

const importKey = (key: Uint8Array): Promise<CryptoKey> => {
  if (key.length !== KEY_BYTES) throw new ProtocolError('bad_params', 'the key must have 32 bytes')
  // A copy, because WebCrypto wants memory that nobody shares.
  return globalThis.crypto.subtle.importKey('raw', new Uint8Array(key), 'AES-GCM', false, [
    'encrypt',
    'decrypt',
  ])
}

/** `iv` is random unless given; under one key it must never be the same for two plaintexts. */
export const sealPayload = async (
  key: Uint8Array,
  plaintext: string,
  iv: Uint8Array = crypto.randomBytes(IV_BYTES),
): Promise<string> => {
  const algorithm = { name: 'AES-GCM', iv: new Uint8Array(iv) }
  const text = new Uint8Array(utf8(plaintext))
  const sealed = await globalThis.crypto.subtle.encrypt(algorithm, await importKey(key), text)
  return toBase64(concat(iv, new Uint8Array(sealed)))
}

/** Throws `undecryptable` for what was not sealed with the key, `bad_request` when it is not UTF-8. */
export const openPayload = async (key: Uint8Array, payload: string): Promise<string> => {
  const imported = await importKey(key)
  let bytes: Uint8Array
  try {
    bytes = fromBase64(payload)
  } catch {
    throw new ProtocolError('undecryptable', 'it is not base64')
  }
  if (bytes.length < IV_BYTES + TAG_BYTES) throw new ProtocolError('undecryptable', 'it is too short')
  const algorithm = { name: 'AES-GCM', iv: new Uint8Array(bytes.subarray(0, IV_BYTES)) }
  let plaintext: ArrayBuffer
  try {
    plaintext = await globalThis.crypto.subtle.decrypt(
      algorithm,
      imported,
      new Uint8Array(bytes.subarray(IV_BYTES)),
    )
  } catch {
    throw new ProtocolError('undecryptable')
  }
  return fromUtf8(new Uint8Array(plaintext))
}
