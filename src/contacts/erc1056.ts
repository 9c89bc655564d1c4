/**
 * ERC-1056 meta-transactions: an account signs for a change of its attributes, and anybody may hand the signature in. There
 * is no chain behind it here, so the registry's address is made from the server's name, and an identity is its own owner.
 *
 *     digest = keccak256(0x19 00 ‖ registry ‖ nonce ‖ identity ‖ action)
 *     action = "setAttribute" ‖ name32 ‖ value ‖ validity, or "revokeAttribute" ‖ name32 ‖ value
 *
 * Source: https://eips.ethereum.org/EIPS/eip-1056; numbers are 32 bytes, big-endian, addresses 20.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { concat, fromHex, toHex, utf8 } from '../protocol/bytes.ts'
import { recoverAddress } from '../protocol/signatures.ts'

export type Action =
  /** `validity`: seconds. */
  | { act: 'set'; name: string; value: Uint8Array; validity: number }
  | { act: 'revoke'; name: string; value: Uint8Array }

export interface SignedBy {
  /** `0x` and 40 hex digits. */
  registry: string
  nonce: number
  /** `0x` and 40 hex digits. */
  identity: string
}

/** ECDSA over secp256k1, as wallets give it: 32 bytes each, and 27 or 28 (or the bare parity 0 or 1). */
export interface EcdsaSignature {
  r: Uint8Array
  s: Uint8Array
  v: number
}

const NAME_BYTES = 32
const NUL = 0
const SPACE = 0x20
/** Published signers differ: JavaScript's fill up with NUL, Rust's with spaces. */
const PADDINGS = [NUL, SPACE]

const bytes20 = (hex: string): Uint8Array => fromHex(hex.slice(2))
const uint256 = (value: number): Uint8Array => fromHex(value.toString(16).padStart(64, '0'))

/** Our own: the last 20 bytes of the hash of the server's did:web. */
export const registryOf = (serverDid: string): string =>
  `0x${toHex(keccak_256(utf8(serverDid)).subarray(12))}`

/** `padding`: what fills the name up to 32 bytes. */
export const digestOf = (
  action: Action,
  { registry, nonce, identity }: SignedBy,
  padding = NUL,
): Uint8Array => {
  const name = new Uint8Array(NAME_BYTES).fill(padding)
  name.set(utf8(action.name))
  return keccak_256(
    concat(
      ...[Uint8Array.of(0x19, 0), bytes20(registry), uint256(nonce), bytes20(identity)],
      ...[utf8(`${action.act}Attribute`), name, action.value],
      ...(action.act === 'set' ? [uint256(action.validity)] : []),
    ),
  )
}

const HALF_ORDER = secp256k1.Point.Fn.ORDER / 2n

/** The address of the signer in lower case; undefined when nobody can have signed, or not with the lower `s`. */
const signerOf = (digest: Uint8Array, { r, s, v }: EcdsaSignature): string | undefined => {
  // Whoever sees a signature can make one with the other `s` of it; only one may count.
  if (BigInt(`0x${toHex(s)}`) > HALF_ORDER) return undefined
  return recoverAddress(digest, concat(r, s), v)
}

/** The digest that the identity itself signed, whichever way its name was filled up; undefined when it did not. */
export const digestSignedBy = (
  action: Action,
  by: SignedBy,
  signature: EcdsaSignature,
): Uint8Array | undefined =>
  PADDINGS.map((padding) => digestOf(action, by, padding)).find(
    (digest) => signerOf(digest, signature) === by.identity.toLowerCase(),
  )
