/**
 * Keys as Carmentis writes and derives them (the published SDK is the reference): secp256k1, signatures compact (r and s,
 * 64 bytes) over sha256 of what is signed, public keys as `SIG:SECP256K1:PK{hex of the compressed point}`.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { crypto } from '#crypto'
import { concat, fromHex, toHex, utf8 } from '../../protocol/bytes.ts'

export interface CarmentisKey {
  /** `SIG:SECP256K1:PK{…}`. */
  publicKey: string
  /** 64 bytes. */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/**
 * A signing key as Carmentis has it. Signatures are deterministic (RFC 6979) with a low s.
 *
 * @param privateKey 32 bytes of secp256k1
 * @returns the key
 */
export const carmentisKey = (privateKey: Uint8Array): CarmentisKey => ({
  publicKey: `SIG:SECP256K1:PK{${toHex(secp256k1.getPublicKey(privateKey))}}`,
  // RFC 6979 without extra entropy and low s, like the SDK: one message has one signature.
  sign: async (message) => secp256k1.sign(message, privateKey),
})

/** The compressed point; undefined for what is no such key. */
export const publicKeyBytes = (text: string): Uint8Array | undefined => {
  const [, hex] = /^SIG:SECP256K1:PK\{((?:02|03)[0-9a-fA-F]{64})\}$/.exec(text) ?? []
  if (hex === undefined) return undefined
  const bytes = fromHex(hex)
  return secp256k1.utils.isValidPublicKey(bytes, true) ? bytes : undefined
}

/**
 * Whether a signature is one of the key over the message.
 *
 * @param publicKey `SIG:SECP256K1:PK{…}`
 * @param message what was signed
 * @param signature 64 bytes: r and s
 * @returns false for everything that is no signature of that key
 */
export const isSignedByCarmentisKey = (
  publicKey: string,
  message: Uint8Array,
  signature: Uint8Array,
): boolean => {
  const point = publicKeyBytes(publicKey)
  try {
    return point !== undefined && secp256k1.verify(signature, message, point)
  } catch {
    return false
  }
}

export interface ActorKeys {
  signature: CarmentisKey
  /** `PKE:MLKEM768AES256GCM:PK{…}`: what is encrypted for the actor later. */
  encryptionPublicKey: string
}

/**
 * The keys by which an account acts in one virtual blockchain: seed = account seed ‖ genesis seed, then HKDF-SHA256 with
 * no salt, info `SIG` (32 bytes, secp256k1) and `PKE` (64 bytes, ML-KEM-768, which the wallet brings along).
 *
 * @param accountSeed the seed of the account
 * @param genesisSeed the seed of the virtual blockchain
 * @param encryptionPublicKey makes the ML-KEM-768 public key of 64 bytes
 * @returns both keys
 */
export const deriveActorKeys = async (
  accountSeed: Uint8Array,
  genesisSeed: Uint8Array,
  encryptionPublicKey: (seed: Uint8Array) => Promise<string> | string,
): Promise<ActorKeys> => {
  const seed = concat(accountSeed, genesisSeed)
  const derive = (info: string, length: number) => crypto.hkdfSha256(seed, length, undefined, utf8(info))
  return {
    signature: carmentisKey(derive('SIG', 32)),
    encryptionPublicKey: await encryptionPublicKey(derive('PKE', 64)),
  }
}
