/** Ed25519 and SHA-256 of the browser: libraries for them would be half of the worker. */
import { concat, fromBase58, fromHex, toBase58, toHex, utf8 } from '../../protocol/bytes.ts'

const ED25519 = { name: 'Ed25519' }
const DID_PREFIX = 'did:key:z'
/** Multicodec of an Ed25519 key. */
const ED25519_CODE = Uint8Array.of(0xed, 0x01)
/** PKCS #8 before a seed of 32 bytes. */
const PKCS8_HEAD = fromHex('302e020100300506032b657004220420')

/** Bytes over a buffer of their own, as WebCrypto wants them. */
const own = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes)

/**
 * Whether the key of the did:key signed the text. Undefined where the browser knows no Ed25519: the message was sealed with the
 * topic's key all the same, which only the server and the devices of the account have.
 */
export const isSignedBy = async (
  did: string,
  text: string,
  signature: Uint8Array,
): Promise<boolean | undefined> => {
  const point = fromBase58(did.slice(DID_PREFIX.length)).subarray(ED25519_CODE.length)
  let key: CryptoKey
  try {
    key = await crypto.subtle.importKey('raw', own(point), ED25519, false, ['verify'])
  } catch {
    return undefined
  }
  return crypto.subtle.verify(ED25519, key, own(signature), own(utf8(text)))
}

/** A signer with its did:key. Rejects where the browser knows no Ed25519. */
export const signerOf = async (seedHex: string) => {
  const seed = own(concat(PKCS8_HEAD, fromHex(seedHex)))
  const key = await crypto.subtle.importKey('pkcs8', seed, ED25519, true, ['sign'])
  const { x = '' } = await crypto.subtle.exportKey('jwk', key)
  const point = Uint8Array.from(atob(x.replaceAll('-', '+').replaceAll('_', '/')), (char) =>
    char.charCodeAt(0),
  )
  return {
    did: DID_PREFIX + toBase58(concat(ED25519_CODE, point)),
    sign: async (text: string) => new Uint8Array(await crypto.subtle.sign(ED25519, key, own(utf8(text)))),
  }
}

export const sha256Hex = async (text: string): Promise<string> =>
  toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', own(utf8(text)))))
