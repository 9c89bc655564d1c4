import { ed25519 } from '@noble/curves/ed25519.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { concat, toBase58, toHex, utf8 } from '../../src/protocol/bytes.ts'
import { checksumAddress } from '../../src/protocol/caip.ts'
import { secretListener } from './secret-listener.ts'

/** An Ethereum account that can sign texts (EIP-191, hex with 0x); `on` is the same address on another chain. */
export const newOwner = (chain = 1) => {
  const secret = secp256k1.utils.randomSecretKey()
  secretListener.tell('private key of an account', secret)
  const point = secp256k1.getPublicKey(secret, false)
  const address = checksumAddress(`0x${toHex(keccak_256(point.subarray(1)).subarray(12))}`)
  const sign = (text: string): string => {
    const bytes = utf8(text)
    const hash = keccak_256(concat(utf8(`\u0019Ethereum Signed Message:\n${bytes.length}`), bytes))
    const [recovery = 0, ...rs] = secp256k1.sign(hash, secret, { prehash: false, format: 'recovered' })
    return `0x${toHex(Uint8Array.from([...rs, 27 + recovery]))}`
  }
  const on = (chainId: number) => `eip155:${chainId}:${address}`
  return { account: on(chain), address, on, sign }
}
export type Owner = ReturnType<typeof newOwner>

/** A Solana account that can sign texts (Ed25519, base58); `on` is the same address on another cluster. */
export const newSolanaOwner = () => {
  const secret = ed25519.utils.randomSecretKey()
  secretListener.tell('private key of an account', secret)
  const address = toBase58(ed25519.getPublicKey(secret))
  const sign = (text: string): string => toBase58(ed25519.sign(utf8(text), secret))
  const on = (genesis: string) => `solana:${genesis}:${address}`
  return { account: on('5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'), address, on, sign }
}
