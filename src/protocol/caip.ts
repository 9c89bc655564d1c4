/**
 * Chains and accounts as text: CAIP-2 (`eip155:1`) and CAIP-10 (`eip155:1:0x…`), with EIP-55 for Ethereum addresses.
 *
 * Two accounts are the same person iff namespace and address are equal, whatever the chain: compare `accountKey`s, but
 * answer a client with the text that it used itself. Letter case is no part of an Ethereum address, and of others it is:
 * in lower case, the addresses of two Solana accounts could be one.
 */
import { keccak_256 } from '@noble/hashes/sha3.js'
import { fromBase58, utf8 } from './bytes.ts'
import { ProtocolError } from './errors.ts'

export interface Chain {
  namespace: string
  reference: string
}

export interface Account extends Chain {
  address: string
  /** The whole CAIP-10 text as it was written. */
  text: string
}

const CHAIN = /^([-a-z0-9]{3,8}):([-_a-zA-Z0-9]{1,32})$/
const ACCOUNT = /^([-a-z0-9]{3,8}):([-_a-zA-Z0-9]{1,32}):([-.%a-zA-Z0-9]{1,128})$/
const ETHEREUM_ADDRESS = /^0x[0-9a-fA-F]{40}$/

/** Throws `bad_params`. */
export const parseChain = (text: string): Chain => {
  const [, namespace, reference] = CHAIN.exec(text) ?? []
  if (namespace === undefined || reference === undefined) {
    throw new ProtocolError('bad_params', 'it is not a CAIP-2 chain')
  }
  return { namespace, reference }
}

/** EIP-55 spelling of `0x` + 40 hex digits. */
export const checksumAddress = (address: string): string => {
  if (!ETHEREUM_ADDRESS.test(address)) throw new ProtocolError('bad_params', 'it is not an Ethereum address')
  const digits = address.slice(2).toLowerCase()
  const hash = keccak_256(utf8(digits))
  let spelled = '0x'
  for (let at = 0; at < digits.length; at++) {
    const nibble = ((hash[at >> 1] ?? 0) >> (at % 2 === 0 ? 4 : 0)) & 15
    const digit = digits.charAt(at)
    spelled += nibble >= 8 ? digit.toUpperCase() : digit
  }
  return spelled
}

/** 1 MB at most. */
const MAX_KNOWN_ADDRESSES = 10_000
const knownAddresses = new Set<string>()

/** An address comes again and again, and its hash costs half as much as to enqueue a notification. */
const hasRightChecksum = (address: string): boolean => {
  if (knownAddresses.has(address)) return true
  if (address !== checksumAddress(address)) return false
  if (knownAddresses.size === MAX_KNOWN_ADDRESSES) knownAddresses.clear()
  knownAddresses.add(address)
  return true
}

/** Base58 of the 32 bytes of an Ed25519 key. */
const isSolanaAddress = (address: string): boolean => {
  try {
    return address.length <= 44 && fromBase58(address).length === 32
  } catch {
    return false
  }
}

/**
 * Throws `bad_params`. A `solana` address is 32 bytes in base58. An `eip155` address is all lower case, or has the right EIP-55 checksum; any other spelling,
 * all upper case included, is taken for a typing mistake.
 */
export const parseAccount = (text: string): Account => {
  const [, namespace, reference, address] = ACCOUNT.exec(text) ?? []
  if (namespace === undefined || reference === undefined || address === undefined) {
    throw new ProtocolError('bad_params', 'it is not a CAIP-10 account')
  }
  if (namespace === 'eip155') {
    if (!ETHEREUM_ADDRESS.test(address)) {
      throw new ProtocolError('bad_params', 'the account has no Ethereum address')
    }
    if (address !== address.toLowerCase() && !hasRightChecksum(address)) {
      throw new ProtocolError('bad_params', 'the checksum of the address is wrong')
    }
  }
  if (namespace === 'solana' && !isSolanaAddress(address)) {
    throw new ProtocolError('bad_params', 'the account has no Solana address')
  }
  return { namespace, reference, address, text }
}

/** CAIP-2 of the chain: `eip155:1`. */
export const chainOf = ({ namespace, reference }: Chain): string => `${namespace}:${reference}`

/** Names the person behind an account, over all chains: `eip155:0x…` in lower case, others as they are. */
export const accountKey = (account: Account | string): string => {
  const { namespace, address } = typeof account === 'string' ? parseAccount(account) : account
  return `${namespace}:${namespace === 'eip155' ? address.toLowerCase() : address}`
}
