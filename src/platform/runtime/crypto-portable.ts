/**
 * `Crypto` in plain JavaScript: what a browser gets, and the reference that the native one is held to. Built on
 * @noble/ed25519, @noble/hashes and @stablelib; @noble/curves would be two thirds of their size more for the same two curves.
 * Randomness is the platform's `crypto.getRandomValues`.
 */
import { getPublicKey, hashes, sign, verify } from '@noble/ed25519'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { ChaCha20Poly1305 } from '@stablelib/chacha20poly1305'
import { scalarMultBase, sharedKey } from '@stablelib/x25519'
import { bytes } from './bytes-portable.ts'
import type { Crypto } from './crypto.ts'
import { isRefusedPoint } from './ed25519-strict.ts'

const expectLength = (bytes: Uint8Array, length: number, name: string): void => {
  if (bytes.length !== length) throw new RangeError(`${name} must have ${length} bytes, not ${bytes.length}`)
}

// @noble/ed25519 comes without a hash.
hashes.sha512 = sha512

// What getRandomValues gives in one call.
const MAX_RANDOM_BYTES = 65_536

export const crypto: Crypto = {
  randomBytes(length) {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at += MAX_RANDOM_BYTES) {
      globalThis.crypto.getRandomValues(bytes.subarray(at, at + MAX_RANDOM_BYTES))
    }
    return bytes
  },
  sha256: (data) => sha256(data),
  sha256Hex: (data) => bytes.toHex(sha256(typeof data === 'string' ? bytes.utf8(data) : data)),
  hmacSha256: (key, data) => hmac(sha256, key, data),
  hkdfSha256: (secret, length, salt, info) => hkdf(sha256, secret, salt, info, length),
  x25519PublicKey(privateKey) {
    expectLength(privateKey, 32, 'an X25519 private key')
    return scalarMultBase(privateKey)
  },
  x25519(privateKey, publicKey) {
    expectLength(privateKey, 32, 'an X25519 private key')
    expectLength(publicKey, 32, 'an X25519 public key')
    try {
      return sharedKey(privateKey, publicKey, true)
    } catch {
      // With the lengths right, the only refusal left is an all-zero result.
      return undefined
    }
  },
  ed25519PublicKey(seed) {
    expectLength(seed, 32, 'an Ed25519 seed')
    return getPublicKey(seed)
  },
  ed25519Sign(message, seed) {
    expectLength(seed, 32, 'an Ed25519 seed')
    return sign(message, seed)
  },
  ed25519Verify(signature, message, publicKey) {
    if (signature.length !== 64 || publicKey.length !== 32) return false
    if (isRefusedPoint(publicKey) || isRefusedPoint(signature)) return false
    return verify(signature, message, publicKey, { zip215: false })
  },
  seal(key, nonce, plaintext) {
    expectLength(key, 32, 'a ChaCha20-Poly1305 key')
    expectLength(nonce, 12, 'a ChaCha20-Poly1305 nonce')
    return new ChaCha20Poly1305(key).seal(nonce, plaintext)
  },
  open(key, nonce, sealed) {
    expectLength(key, 32, 'a ChaCha20-Poly1305 key')
    expectLength(nonce, 12, 'a ChaCha20-Poly1305 nonce')
    return new ChaCha20Poly1305(key).open(nonce, sealed) ?? undefined
  },
}
