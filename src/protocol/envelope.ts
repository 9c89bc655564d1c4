/**
 * Envelopes: how a plaintext travels over the relay. Standard base64, with padding, of
 *
 *     type 0   00 | iv[12] | ciphertext | tag[16]                       key known to both sides
 *     type 1   01 | sender X25519 public key[32] | iv[12] | ciphertext | tag[16]
 *
 * ChaCha20-Poly1305 without AAD. Type 2 (unencrypted) is never accepted.
 */
import { crypto } from '#crypto'
import { concat, fromBase64, fromUtf8, toBase64, utf8 } from './bytes.ts'
import { ProtocolError } from './errors.ts'

const IV_BYTES = 12
const TAG_BYTES = 16
const PUBLIC_KEY_BYTES = 32

export type Envelope =
  | { type: 0; iv: Uint8Array; sealed: Uint8Array }
  | { type: 1; senderPublicKey: Uint8Array; iv: Uint8Array; sealed: Uint8Array }

const IV_LABEL = utf8('belfry iv')

/**
 * An iv that is the same whenever the same text is sealed with the same key: a retry of an outbox entry gives the same
 * message, which the relay knows for a duplicate. It repeats for the same plaintext only, so nothing is given away but
 * that.
 */
export const deterministicIv = (key: Uint8Array, plaintext: string): Uint8Array =>
  crypto.hmacSha256(key, concat(IV_LABEL, utf8(plaintext))).slice(0, IV_BYTES)

/** `iv` is random unless given. */
export const sealType0 = ({
  key,
  plaintext,
  iv = crypto.randomBytes(IV_BYTES),
}: {
  key: Uint8Array
  plaintext: string
  iv?: Uint8Array | undefined
}): string => toBase64(concat(Uint8Array.of(0), iv, crypto.seal(key, iv, utf8(plaintext))))

/** For a receiver who has yet to derive the key from `senderPublicKey`. `iv` is random unless given. */
export const sealType1 = ({
  key,
  senderPublicKey,
  plaintext,
  iv = crypto.randomBytes(IV_BYTES),
}: {
  key: Uint8Array
  senderPublicKey: Uint8Array
  plaintext: string
  iv?: Uint8Array | undefined
}): string => toBase64(concat(Uint8Array.of(1), senderPublicKey, iv, crypto.seal(key, iv, utf8(plaintext))))

/** Throws `undecryptable` for everything that is not an envelope of type 0 or 1. */
export const parseEnvelope = (message: string): Envelope => {
  let bytes: Uint8Array
  try {
    bytes = fromBase64(message)
  } catch {
    throw new ProtocolError('undecryptable', 'it is not base64')
  }
  const [type] = bytes
  if (type !== 0 && type !== 1) throw new ProtocolError('undecryptable', 'the envelope type is not known')
  const start = type === 0 ? 1 : 1 + PUBLIC_KEY_BYTES
  if (bytes.length < start + IV_BYTES + TAG_BYTES)
    throw new ProtocolError('undecryptable', 'the envelope is too short')
  const iv = bytes.subarray(start, start + IV_BYTES)
  const sealed = bytes.subarray(start + IV_BYTES)
  return type === 0 ? { type, iv, sealed } : { type, senderPublicKey: bytes.subarray(1, start), iv, sealed }
}

/** Throws `undecryptable` when the key is not the right one, `bad_request` when the plaintext is not UTF-8. */
export const openEnvelope = (envelope: Envelope, key: Uint8Array): string => {
  const plaintext = crypto.open(key, envelope.iv, envelope.sealed)
  if (!plaintext) throw new ProtocolError('undecryptable')
  return fromUtf8(plaintext)
}
