/**
 * Secrets at rest. What the notify server keeps of keys (its own, those of apps and subscriptions) is sealed before a
 * store sees it, so that a copy of the data alone opens nothing.
 *
 * Sealed = base64url(01 | nonce[12] | ChaCha20-Poly1305(ciphertext | tag[16])), the key being HKDF-SHA256 of the
 * secret. The first byte numbers the format.
 */
import { crypto } from '#crypto'
import { concat, fromBase64url, toBase64url, utf8 } from '../protocol/bytes.ts'
import type { Sealed } from './store.ts'

export interface Vault {
  seal(bytes: Uint8Array): Sealed
  /** Throws when it was sealed with another secret, or changed: the data directory and the secret do not belong together. */
  open(sealed: Sealed): Uint8Array
}

const FORMAT = 1
const NONCE = 12
/** Below this a secret can be guessed. */
const SHORTEST_SECRET = 16

export const createVault = (
  secret: Uint8Array,
  randomBytes: (length: number) => Uint8Array = crypto.randomBytes,
): Vault => {
  if (secret.length < SHORTEST_SECRET) {
    throw new Error(`The secret must have at least ${SHORTEST_SECRET} bytes`)
  }
  const key = crypto.hkdfSha256(secret, 32, undefined, utf8('belfry notify vault'))
  return {
    seal(bytes) {
      const nonce = randomBytes(NONCE)
      return toBase64url(concat(Uint8Array.of(FORMAT), nonce, crypto.seal(key, nonce, bytes)))
    },
    open(sealed) {
      let opened: Uint8Array | undefined
      try {
        const bytes = fromBase64url(sealed)
        const nonce = bytes.subarray(1, 1 + NONCE)
        if (bytes[0] === FORMAT) opened = crypto.open(key, nonce, bytes.subarray(1 + NONCE))
      } catch {
        // Said below: it is nobody's input, so it is not a ProtocolError.
      }
      if (!opened) throw new Error('A kept key does not open with the configured secret')
      return opened
    },
  }
}
