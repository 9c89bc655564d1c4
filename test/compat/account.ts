import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { checksumAddress } from '../../src/protocol/caip.ts'

/** An externally owned Ethereum account with a random key. */
export interface EthereumAccount {
  address: string
  /** CAIP-10 on that chain. */
  on(chainId: number): string
  /** EIP-191 `personal_sign`, hex with `0x`. */
  sign(text: string): string
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

export const createAccount = (): EthereumAccount => {
  const { secretKey } = secp256k1.keygen()
  const point = secp256k1.getPublicKey(secretKey, false).subarray(1)
  const address = checksumAddress(`0x${hex(keccak_256(point).subarray(-20))}`)
  return {
    address,
    on: (chainId) => `eip155:${chainId}:${address}`,
    sign(text) {
      const body = Buffer.from(text)
      const digest = keccak_256(
        Buffer.concat([Buffer.from(`\x19Ethereum Signed Message:\n${body.length}`), body]),
      )
      const signature = secp256k1.sign(digest, secretKey, { prehash: false, format: 'recovered' })
      // noble puts the recovery id first; Ethereum puts it last, plus 27.
      return `0x${hex(signature.subarray(1))}${(27 + (signature[0] ?? 0)).toString(16)}`
    },
  }
}
