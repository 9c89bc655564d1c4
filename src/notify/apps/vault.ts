/**
 * Secrets at rest. Keys of the server, of apps and of subscriptions are sealed before a store sees them, so that a copy of
 * the data alone opens nothing.
 *
 * Sealed = base64url(01 | nonce[12] | ChaCha20-Poly1305(ciphertext | tag[16])), the key being HKDF-SHA256 of the
 * secret. The first byte numbers the format.
 *
 * While the secret is being changed there are two, and a sealed text does not name its own: both are tried. The tag tells
 * a wrong key surely, and a vain attempt costs a microsecond while the change lasts.
 */
import { crypto } from '#crypto'
import { concat, fromBase64url, toBase64url, utf8 } from '../../protocol/bytes.ts'
import type { Sealed } from '../store/store.ts'

export interface Vault {
  /** With the present secret. */
  seal(bytes: Uint8Array): Sealed
  /**
   * Throws when it was sealed with a secret that is not known here, or changed: the data directory and the secret do
   * not belong together.
   */
  open(sealed: Sealed): Uint8Array
  /** The same, sealed with the present secret; undefined when it is already. Throws as `open` does. */
  reencrypt(sealed: Sealed): Sealed | undefined
  /** The secret that opens it. Throws as `open` does. */
  secretOf(sealed: Sealed): Uint8Array
}

const FORMAT = 1
const NONCE_BYTES = 12
/** Below this a secret can be guessed. */
const MIN_SECRET_BYTES = 16

/** `other`: a second secret that opens what is kept, the former one or the next one. */
export const createVault = (
  secret: Uint8Array,
  randomBytes: (length: number) => Uint8Array = crypto.randomBytes,
  other?: Uint8Array,
): Vault => {
  const known = [secret, ...(other ? [other] : [])].map((one) => {
    if (one.length < MIN_SECRET_BYTES)
      throw new Error(`The secret must have at least ${MIN_SECRET_BYTES} bytes`)
    return { secret: one, key: crypto.hkdfSha256(one, 32, undefined, utf8('belfry notify vault')) }
  })

  const openWith = (key: Uint8Array, sealed: Sealed): Uint8Array | undefined => {
    try {
      const bytes = fromBase64url(sealed)
      const nonce = bytes.subarray(1, 1 + NONCE_BYTES)
      return bytes[0] === FORMAT ? crypto.open(key, nonce, bytes.subarray(1 + NONCE_BYTES)) : undefined
    } catch {
      // The caller throws: a sealed text is no input, so its fault is no ProtocolError.
      return undefined
    }
  }

  const find = (sealed: Sealed) => {
    for (const [at, { secret, key }] of known.entries()) {
      const opened = openWith(key, sealed)
      if (opened) return { opened, secret, isPresent: at === 0 }
    }
    throw new Error('A kept key does not open with the configured secret')
  }

  const seal: Vault['seal'] = (bytes) => {
    const key = known[0]?.key
    if (!key) throw new Error('There is no secret')
    const nonce = randomBytes(NONCE_BYTES)
    return toBase64url(concat(Uint8Array.of(FORMAT), nonce, crypto.seal(key, nonce, bytes)))
  }

  return {
    seal,
    open: (sealed) => find(sealed).opened,
    reencrypt(sealed) {
      const { opened, isPresent } = find(sealed)
      return isPresent ? undefined : seal(opened)
    },
    secretOf: (sealed) => find(sealed).secret,
  }
}
