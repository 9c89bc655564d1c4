/** An Ethereum account whose key is here: of `belfry listen`, of the demo, and the inbox's demo key. */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { concat, toHex } from '../protocol/bytes.ts'
import { checksumAddress } from '../protocol/caip.ts'
import { eip191Hash, ethereumAddressOf } from '../protocol/signatures.ts'

/** An Ethereum account whose owner is this process: it signs whatever it is shown (EIP-191). A wallet asks its owner. */
export interface Owner {
  /** CAIP-10. */
  account: string
  sign(text: string): Promise<string>
}

export const newOwnerKey = (): Uint8Array => secp256k1.utils.randomSecretKey()

export const ownerFrom = (secret: Uint8Array): Owner => {
  const publicKey = secp256k1.getPublicKey(secret, false)
  const address = checksumAddress(ethereumAddressOf(publicKey))
  return {
    account: `eip155:1:${address}`,
    async sign(text) {
      const signature = secp256k1.sign(eip191Hash(text), secret, { prehash: false, format: 'recovered' })
      // The recovery bit comes first here and last, as 27 or 28, on the wire.
      return `0x${toHex(concat(signature.subarray(1), Uint8Array.of(27 + (signature[0] ?? 0))))}`
    },
  }
}
