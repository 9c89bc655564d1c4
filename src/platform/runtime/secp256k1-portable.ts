/** `Secp256k1` in plain JavaScript: what a browser gets, and the reference that the other one is held to. */
import { secp256k1 as curve } from '@noble/curves/secp256k1.js'
import type { Secp256k1 } from './secp256k1.ts'

export const secp256k1: Secp256k1 = {
  recoverKey(hash, rs, parity) {
    if (hash.length !== 32 || rs.length !== 64) return undefined
    try {
      const signature = curve.Signature.fromBytes(rs, 'compact').addRecoveryBit(parity)
      return signature.recoverPublicKey(hash).toBytes(false)
    } catch {
      return undefined
    }
  },
}
