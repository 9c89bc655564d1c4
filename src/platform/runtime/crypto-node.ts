/**
 * `Crypto` for Node: curves and the AEAD by sodium-native where it is installed (an optional dependency whose binary is
 * in its package), everything else, and all of it where sodium-native is missing, by node:crypto. A differential test
 * holds sodium-native, node:crypto and the portable implementation to the same bytes.
 *
 * One thing they need not agree on: a signature by someone who mixed points of small order into their own key. OpenSSL
 * checks the equation without the cofactor, the others with it. Only the owner of the key can make one.
 */
import * as node from 'node:crypto'
import { createRequire } from 'node:module'
import type { Crypto } from './crypto.ts'
import { isRefusedPoint } from './ed25519-strict.ts'

/** What is used of sodium-native, which ships no types. Outputs come first. */
export interface Sodium {
  crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  crypto_scalarmult_base(publicKey: Uint8Array, privateKey: Uint8Array): void
  /** Throws when the shared secret is all zero. */
  crypto_scalarmult(shared: Uint8Array, privateKey: Uint8Array, publicKey: Uint8Array): void
  crypto_aead_chacha20poly1305_ietf_encrypt(
    sealed: Uint8Array,
    plaintext: Uint8Array,
    data: null,
    secretNonce: null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number
  /** Throws when the tag does not match. */
  crypto_aead_chacha20poly1305_ietf_decrypt(
    plaintext: Uint8Array,
    secretNonce: null,
    sealed: Uint8Array,
    data: null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number
}

/** sodium-native, or undefined where it is not installed or has no binary for this machine. */
export const loadSodium = (): Sodium | undefined => {
  try {
    return createRequire(import.meta.url)('sodium-native')
  } catch {
    return undefined
  }
}

/** Keys that stay expanded in memory, per kind. A server signs with one key per app. */
const MAX_CACHED_KEYS = 1024
const TAG_BYTES = 16
/** PKCS #8 up to the key itself (RFC 8410). A JWK of a private key would need its public half first. */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex')

const expectLength = (bytes: Uint8Array, length: number, name: string): void => {
  if (bytes.length !== length) throw new RangeError(`${name} must have ${length} bytes, not ${bytes.length}`)
}

/** Plain bytes over the same memory: a Buffer is a Uint8Array, but slices, prints and compares in its own way. */
const plain = (buffer: Buffer): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)

/** Remembers what `make` gave for the last keys; the one made longest ago is forgotten first. */
const remembered = <T>(make: (key: Uint8Array) => T): ((key: Uint8Array) => T) => {
  const made = new Map<string, T>()
  return (key) => {
    const name = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
    const known = made.get(name)
    if (known !== undefined) return known
    const value = make(key)
    if (made.size >= MAX_CACHED_KEYS) {
      for (const oldest of made.keys()) {
        made.delete(oldest)
        break
      }
    }
    made.set(name, value)
    return value
  }
}

const hashes = {
  randomBytes: (length) => plain(node.randomBytes(length)),
  sha256: (data) => plain(node.hash('sha256', data, 'buffer')),
  sha256Hex: (data) => node.hash('sha256', data, 'hex'),
  hmacSha256: (key, data) => plain(node.createHmac('sha256', key).update(data).digest()),
  hkdfSha256: (secret, length, salt = new Uint8Array(), info = new Uint8Array()) =>
    new Uint8Array(node.hkdfSync('sha256', secret, salt, info, length)),
} satisfies Partial<Crypto>

const withSodium = (sodium: Sodium): Crypto => {
  const secretKeyOf = remembered((seed) => {
    const publicKey = new Uint8Array(32)
    const secretKey = new Uint8Array(64)
    sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed)
    return secretKey
  })
  return {
    ...hashes,
    x25519PublicKey(privateKey) {
      expectLength(privateKey, 32, 'an X25519 private key')
      const publicKey = new Uint8Array(32)
      sodium.crypto_scalarmult_base(publicKey, privateKey)
      return publicKey
    },
    x25519(privateKey, publicKey) {
      expectLength(privateKey, 32, 'an X25519 private key')
      expectLength(publicKey, 32, 'an X25519 public key')
      const shared = new Uint8Array(32)
      try {
        sodium.crypto_scalarmult(shared, privateKey, publicKey)
      } catch {
        return undefined
      }
      return shared
    },
    ed25519PublicKey(seed) {
      expectLength(seed, 32, 'an Ed25519 seed')
      return secretKeyOf(seed).slice(32)
    },
    ed25519Sign(message, seed) {
      expectLength(seed, 32, 'an Ed25519 seed')
      const signature = new Uint8Array(64)
      sodium.crypto_sign_detached(signature, message, secretKeyOf(seed))
      return signature
    },
    ed25519Verify(signature, message, publicKey) {
      if (signature.length !== 64 || publicKey.length !== 32) return false
      if (isRefusedPoint(publicKey) || isRefusedPoint(signature)) return false
      return sodium.crypto_sign_verify_detached(signature, message, publicKey)
    },
    seal(key, nonce, plaintext) {
      expectLength(key, 32, 'a ChaCha20-Poly1305 key')
      expectLength(nonce, 12, 'a ChaCha20-Poly1305 nonce')
      const sealed = new Uint8Array(plaintext.length + TAG_BYTES)
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt(sealed, plaintext, null, null, nonce, key)
      return sealed
    },
    open(key, nonce, sealed) {
      expectLength(key, 32, 'a ChaCha20-Poly1305 key')
      expectLength(nonce, 12, 'a ChaCha20-Poly1305 nonce')
      if (sealed.length < TAG_BYTES) return undefined
      const plaintext = new Uint8Array(sealed.length - TAG_BYTES)
      try {
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plaintext, null, sealed, null, nonce, key)
      } catch {
        return undefined
      }
      return plaintext
    },
  }
}

const privateKeyFrom = (prefix: Buffer) => (raw: Uint8Array) =>
  node.createPrivateKey({ key: Buffer.concat([prefix, raw]), format: 'der', type: 'pkcs8' })
const publicKeyFrom = (crv: 'Ed25519' | 'X25519') => (raw: Uint8Array) =>
  node.createPublicKey({
    key: { kty: 'OKP', crv, x: Buffer.from(raw).toString('base64url') },
    format: 'jwk',
  })
const publicHalf = (key: node.KeyObject): Uint8Array =>
  new Uint8Array(Buffer.from(node.createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url'))

/** Key objects of node:crypto by their raw bytes. */
const createKeyObjects = () => {
  const signingKey = remembered(privateKeyFrom(PKCS8_ED25519))
  const agreementKey = remembered(privateKeyFrom(PKCS8_X25519))
  const verifyingKey = remembered(publicKeyFrom('Ed25519'))
  const peerKey = remembered(publicKeyFrom('X25519'))
  const signingPublicKey = remembered((seed) => publicHalf(signingKey(seed)))
  const agreementPublicKey = remembered((privateKey) => publicHalf(agreementKey(privateKey)))
  return { signingKey, agreementKey, verifyingKey, peerKey, signingPublicKey, agreementPublicKey }
}

const withNodeOnly = (): Crypto => {
  const { signingKey, agreementKey, verifyingKey, peerKey, signingPublicKey, agreementPublicKey } =
    createKeyObjects()
  return {
    ...hashes,
    x25519PublicKey(privateKey) {
      expectLength(privateKey, 32, 'an X25519 private key')
      return agreementPublicKey(privateKey).slice()
    },
    x25519(privateKey, publicKey) {
      expectLength(privateKey, 32, 'an X25519 private key')
      expectLength(publicKey, 32, 'an X25519 public key')
      try {
        return plain(
          node.diffieHellman({ privateKey: agreementKey(privateKey), publicKey: peerKey(publicKey) }),
        )
      } catch {
        return undefined
      }
    },
    ed25519PublicKey(seed) {
      expectLength(seed, 32, 'an Ed25519 seed')
      return signingPublicKey(seed).slice()
    },
    ed25519Sign(message, seed) {
      expectLength(seed, 32, 'an Ed25519 seed')
      return plain(node.sign(null, message, signingKey(seed)))
    },
    ed25519Verify(signature, message, publicKey) {
      if (signature.length !== 64 || publicKey.length !== 32) return false
      if (isRefusedPoint(publicKey) || isRefusedPoint(signature)) return false
      try {
        return node.verify(null, message, verifyingKey(publicKey), signature)
      } catch {
        return false
      }
    },
    seal(key, nonce, plaintext) {
      expectLength(key, 32, 'a ChaCha20-Poly1305 key')
      expectLength(nonce, 12, 'a ChaCha20-Poly1305 nonce')
      const cipher = node.createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES })
      const ciphertext = cipher.update(plaintext)
      cipher.final()
      return plain(Buffer.concat([ciphertext, cipher.getAuthTag()]))
    },
    open(key, nonce, sealed) {
      expectLength(key, 32, 'a ChaCha20-Poly1305 key')
      expectLength(nonce, 12, 'a ChaCha20-Poly1305 nonce')
      if (sealed.length < TAG_BYTES) return undefined
      const end = sealed.length - TAG_BYTES
      const decipher = node.createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES })
      decipher.setAuthTag(sealed.subarray(end))
      const plaintext = decipher.update(sealed.subarray(0, end))
      try {
        decipher.final()
      } catch {
        return undefined
      }
      return plain(plaintext)
    },
  }
}

export const createNodeCrypto = (sodium: Sodium | undefined): Crypto =>
  sodium ? withSodium(sodium) : withNodeOnly()

export const crypto: Crypto = createNodeCrypto(loadSodium())
