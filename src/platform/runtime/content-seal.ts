/**
 * What dapps and agents write, sealed at rest, so that a copy of the store alone shows no text of it.
 *
 * Sealed = `sealed:1:` base64url(nonce[12] | ChaCha20-Poly1305(JSON of the place | content)). The key is HKDF-SHA256 of the
 * store's root, the first secret, which the store keeps sealed with the present one. So a change of the secret seals one
 * row anew and all content with it. The place (table, ids, field) is within: a text that is put elsewhere does not open.
 */
import { crypto } from '#crypto'
import { concat, fromBase64url, toBase64url, utf8 } from '../../protocol/bytes.ts'

/** Table, ids, field. */
export type Place = readonly string[]

export interface ContentSeal {
  seal(place: Place, content: string): string
  /** What was written before content was sealed is answered as it is. Throws for what does not belong there. */
  open(place: Place, sealed: string): string
}

const SEALED_PREFIX = 'sealed:1:'
const NONCE_BYTES = 12

export const createContentSeal = (
  root: Uint8Array,
  randomBytes: (length: number) => Uint8Array,
): ContentSeal => {
  const key = crypto.hkdfSha256(root, 32, undefined, utf8('belfry content'))
  const decoder = new TextDecoder()
  const labelOf = (place: Place) => JSON.stringify(place)

  return {
    seal(place, content) {
      const nonce = randomBytes(NONCE_BYTES)
      const sealed = crypto.seal(key, nonce, utf8(labelOf(place) + content))
      return SEALED_PREFIX + toBase64url(concat(nonce, sealed))
    },
    open(place, sealed) {
      if (!sealed.startsWith(SEALED_PREFIX)) return sealed
      const bytes = fromBase64url(sealed.slice(SEALED_PREFIX.length))
      const opened = crypto.open(key, bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES))
      const text = decoder.decode(opened)
      const label = labelOf(place)
      if (!text.startsWith(label)) throw new Error('A kept text belongs to another place')
      return text.slice(label.length)
    },
  }
}
