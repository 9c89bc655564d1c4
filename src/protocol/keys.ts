/**
 * Keys: X25519 pairs to agree on a symmetric key, Ed25519 keys to sign with, and the symmetric keys of topics.
 */
import { crypto } from '#crypto'
import { ed25519Did } from './did.ts'
import { ProtocolError } from './errors.ts'

/** An X25519 pair, 32 bytes each. */
export interface KeyPair {
  privateKey: Uint8Array
  publicKey: Uint8Array
}

/** An Ed25519 key: its seed and public key, 32 bytes each, and the did:key by which it is known. */
export interface SigningKey {
  seed: Uint8Array
  publicKey: Uint8Array
  did: string
}

/**
 * The X25519 pair of a private key.
 *
 * @param privateKey 32 bytes
 * @returns the pair
 */
export const agreementKeyFrom = (privateKey: Uint8Array): KeyPair => ({
  privateKey,
  publicKey: crypto.x25519PublicKey(privateKey),
})

/**
 * A new X25519 pair.
 *
 * @returns the pair
 */
export const generateAgreementKey = (): KeyPair => agreementKeyFrom(crypto.randomBytes(32))

/**
 * The Ed25519 key of a seed.
 *
 * @param seed 32 bytes, as secret as the key
 * @returns seed, public key and did:key
 */
export const signingKeyFrom = (seed: Uint8Array): SigningKey => {
  const publicKey = crypto.ed25519PublicKey(seed)
  return { seed, publicKey, did: ed25519Did(publicKey) }
}

/**
 * A new Ed25519 key.
 *
 * @returns seed, public key and did:key
 */
export const generateSigningKey = (): SigningKey => signingKeyFrom(crypto.randomBytes(32))

/** 32 random bytes. */
export const generateSymKey = (): Uint8Array => crypto.randomBytes(32)

/**
 * The key that both sides of an agreement arrive at: HKDF-SHA256 of the X25519 secret, no salt, no info, 32 bytes.
 * Throws `undecryptable` for a public key of low order, with which the "secret" would be known to everyone, and for
 * one that has not 32 bytes.
 */
export const deriveSymKey = (privateKey: Uint8Array, peerPublicKey: Uint8Array): Uint8Array => {
  const secret = peerPublicKey.length === 32 ? crypto.x25519(privateKey, peerPublicKey) : undefined
  if (!secret) throw new ProtocolError('undecryptable', 'the public key of the sender cannot be used')
  return crypto.hkdfSha256(secret, 32)
}
