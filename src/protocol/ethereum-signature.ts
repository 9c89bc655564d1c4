/** Recovers who made an ECDSA signature over secp256k1, as an Ethereum address: for EIP-191 and ERC-1056. */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { concat, toHex } from './bytes.ts'

interface Point {
  toBytes(isCompressed: boolean): Uint8Array
}

/** The address of a public key, in lower case: the last 20 bytes of its hash. */
export const ethereumAddressOf = (point: Point): string =>
  `0x${toHex(keccak_256(point.toBytes(false).subarray(1)).subarray(12))}`

/**
 * The address of the signer in lower case; undefined for a signature that no key can have made.
 *
 * @param hash what was signed, 32 bytes.
 * @param rs `r` and `s`, 64 bytes. A high `s` is taken: who needs signatures to be unique refuses it before.
 * @param v 27 or 28, or the bare parity 0 or 1.
 */
export const recoverAddress = (hash: Uint8Array, rs: Uint8Array, v: number): string | undefined => {
  const recovery = v >= 27 ? v - 27 : v
  if (rs.length !== 64 || (recovery !== 0 && recovery !== 1)) return undefined
  try {
    const compressed = secp256k1.recoverPublicKey(concat(Uint8Array.of(recovery), rs), hash, {
      prehash: false,
    })
    return ethereumAddressOf(secp256k1.Point.fromBytes(compressed))
  } catch {
    return undefined
  }
}
