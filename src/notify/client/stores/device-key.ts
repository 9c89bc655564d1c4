/** Seals under a key of this browser, which no script can read: WebCrypto keeps it, and IndexedDB keeps a handle of it. */
import { crypto } from '#crypto'
import { concat, fromBase64, fromUtf8, toBase64, utf8 } from '../../../protocol/bytes.ts'
import { bodyOf, type Sealer, unreadable } from './seal.ts'

const IV_BYTES = 12

/** WebCrypto takes no view of memory that may be shared. */
const owned = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(bytes)

const subtle = (): SubtleCrypto => {
  const found: SubtleCrypto | undefined = globalThis.crypto?.subtle
  if (found) return found
  throw unreadable('there is no WebCrypto here: open the page over https, or give a `seal.key`')
}

/** A key for `sealedByDevice`, which no script can read. */
export const newDeviceKey = (): Promise<CryptoKey> =>
  subtle().generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])

/** Seals under a key of this browser. `keyOf` finds it; `make`: or makes it. */
export const sealedByDevice = (keyOf: (make: boolean) => Promise<CryptoKey | undefined>): Sealer => ({
  async seal(text) {
    const key = await keyOf(true)
    if (!key) throw unreadable('the key of this browser could not be made')
    const iv = owned(crypto.randomBytes(IV_BYTES))
    const sealed = await subtle().encrypt({ name: 'AES-GCM', iv }, key, owned(utf8(text)))
    return `1.device.${toBase64(concat(iv, new Uint8Array(sealed)))}`
  },
  async open(sealed) {
    const body = bodyOf(sealed, 'device')
    const key = await keyOf(false)
    if (!key) throw unreadable('the key of this browser is gone')
    try {
      const bytes = fromBase64(body)
      const [iv, ciphertext] = [owned(bytes.subarray(0, IV_BYTES)), owned(bytes.subarray(IV_BYTES))]
      return fromUtf8(new Uint8Array(await subtle().decrypt({ name: 'AES-GCM', iv }, key, ciphertext)))
    } catch (cause) {
      throw unreadable('it was altered, or sealed under another key', cause)
    }
  },
})
