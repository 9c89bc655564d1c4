/**
 * How a device seals its state: under a key that the caller has from a safe place, or in a browser under one that no
 * script can read. The sealed text names which, so that a state is never opened as something else.
 *
 * | text               | under                                                                  |
 * |--------------------|------------------------------------------------------------------------|
 * | `1.key.<base64>`   | ChaCha20-Poly1305, a key derived from the caller's                     |
 * | `1.device.<base64>`| AES-GCM of WebCrypto, 12 bytes of iv first; the key is in IndexedDB    |
 */
import { crypto } from '#crypto'
import { utf8 } from '../../../protocol/bytes.ts'
import { openEnvelope, parseEnvelope, sealType0 } from '../../../protocol/envelope.ts'
import { ProtocolError } from '../../../protocol/errors.ts'

export interface Sealer {
  seal(text: string): Promise<string>
  /** Throws `state_unreadable` for what was altered, or sealed under another key. */
  open(sealed: string): Promise<string>
}

/** A key that the caller has from a safe place, as the Keychain of a phone: 32 random bytes. */
export interface SealKey {
  key: Uint8Array
}

const KEY_BYTES = 32
const LABEL = utf8('belfry wallet state')

export const unreadable = (detail: string, cause?: unknown): ProtocolError =>
  new ProtocolError('state_unreadable', detail, { cause })

/** What stands behind the name of the way in which it was sealed. */
export const bodyOf = (sealed: string, way: 'key' | 'device'): string => {
  const [version, its, body, ...more] = sealed.split('.')
  if (version !== '1' || body === undefined || more.length > 0) throw unreadable('it is no sealed state')
  if (its !== way) throw unreadable(`it was sealed in another way (${its})`)
  return body
}

/** Seals under a key of the caller. Throws a `TypeError` for one that has not 32 bytes. */
export const sealedUnder = ({ key: given }: SealKey): Sealer => {
  if (given.length !== KEY_BYTES) throw new TypeError(`The key of a store has ${KEY_BYTES} bytes`)
  // The caller may use the key for something else, too.
  const key = crypto.hkdfSha256(given, KEY_BYTES, new Uint8Array(), LABEL)
  return {
    seal: async (plaintext) => `1.key.${sealType0({ key, plaintext })}`,
    async open(sealed) {
      const body = bodyOf(sealed, 'key')
      try {
        return openEnvelope(parseEnvelope(body), key)
      } catch (cause) {
        throw unreadable('it was altered, or sealed under another key', cause)
      }
    },
  }
}
