/**
 * The one name under which an account's installations are kept, whichever DID a caller knows it by.
 *
 * | given                                                     | key                    |
 * |-----------------------------------------------------------|------------------------|
 * | `did:pkh:eip155:1:0xAb…`, on whatever chain               | `eip155:0xab…`         |
 * | `did:ethr:0xAb…`, `did:ethr:<network>:0xAb…`, or a public key there | `eip155:0xab…` |
 * | `0xAb…`, or its 40 digits alone, as published clients do  | `eip155:0xab…`         |
 * | `did:pkh:solana:<chain>:<address>`                        | `solana:<address>`     |
 * | `did:key:z6Mk…` (Ed25519)                                 | itself                 |
 * | `did:web:Example.com`                                     | `did:web:example.com`  |
 */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { crypto } from '#crypto'
import { fromHex, toBase64url, utf8 } from '../protocol/bytes.ts'
import { accountKey, parseAccount } from '../protocol/caip.ts'
import { accountFromDidPkh, didWeb, domainFromDidWeb, ed25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { ethereumAddressOf } from '../protocol/signatures.ts'

export type Holder =
  /** An account on chains; `address`: of Ethereum, lower case. */
  | { kind: 'account'; key: string; address: string | undefined }
  | { kind: 'key'; key: string }
  | { kind: 'web'; key: string; domain: string }

/**
 * What storage knows an account by: the hash of its key. A nonce must outlive everything else that is kept, and then it
 * names nobody.
 */
export const accountHash = (key: string): string => toBase64url(crypto.sha256(utf8(key)))

const ETHR = /^did:ethr:(?:[-.:\w]{1,64}:)?(0x[0-9a-fA-F]{40}|0x[0-9a-fA-F]{66})$/
const BARE = /^(?:0x)?([0-9a-fA-F]{40})$/
const EIP155 = 'eip155:'

const ofAccount = (key: string): Holder => ({
  kind: 'account',
  key,
  address: key.startsWith(EIP155) ? key.slice(EIP155.length) : undefined,
})

/** Its chain does not count; its spelling does (`protocol/caip`). */
const ofAddress = (address: string): Holder => ofAccount(accountKey(parseAccount(`eip155:1:${address}`)))

const ofPublicKey = (hex: string): Holder => {
  try {
    return ofAddress(ethereumAddressOf(secp256k1.Point.fromBytes(fromHex(hex.slice(2))).toBytes(false)))
  } catch (cause) {
    throw new ProtocolError('bad_params', 'its public key is none', { cause })
  }
}

/** Throws `bad_params` for what is no DID of these. */
export const holderOf = (did: string): Holder => {
  const [, bare] = BARE.exec(did) ?? []
  if (bare !== undefined) return ofAddress(`0x${bare}`)
  const [, ethr] = ETHR.exec(did) ?? []
  if (ethr !== undefined) return ethr.length === 42 ? ofAddress(ethr) : ofPublicKey(ethr)
  if (did.startsWith('did:pkh:')) return ofAccount(accountKey(accountFromDidPkh(did)))
  if (did.startsWith('did:web:')) {
    const domain = domainFromDidWeb(did).toLowerCase()
    return { kind: 'web', key: didWeb(domain), domain }
  }
  if (did.startsWith('did:key:')) {
    ed25519FromDid(did)
    return { kind: 'key', key: did }
  }
  throw new ProtocolError('bad_params', 'it is not a DID of an account, a key or a domain')
}
