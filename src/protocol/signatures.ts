/**
 * Who signed a text: a verifier for each of the `namespaces`.
 *
 * | namespace | account says       | signature (`s.t`)          | spelled                            |
 * |-----------|--------------------|----------------------------|------------------------------------|
 * | eip155    | hash of a key      | eip191: ECDSA, recovered   | hex, with or without 0x            |
 * | eip155    | contract           | eip1271, eip6492: asked    | hex                                |
 * | solana    | the key            | solana:ed25519, or ed25519 | base58 (64 bytes), hex, base64     |
 *
 * `eip191` is only ever recovered, never asked about: a contract wallet's signature says so itself.
 */
import { keccak_256 } from '@noble/hashes/sha3.js'
import { crypto } from '#crypto'
import { secp256k1 } from '#secp256k1'
import { concat, fromBase58, fromBase64url, fromHex, toHex, utf8 } from './bytes.ts'
import type { Account } from './caip.ts'
import { ProtocolError } from './errors.ts'
import { type NamespaceId, namespaceOf, type Signature } from './namespaces.ts'

/** Asks a chain whether a contract wallet signed: EIP-1271, and EIP-6492 for one that is not deployed yet. */
export type ContractWalletCheck = (question: {
  account: Account
  text: string
  /** Hex with 0x. */
  signature: string
}) => Promise<boolean>

interface Signed {
  account: Account
  /** The texts that may have been signed. */
  texts: readonly string[]
  signature: Signature
  verifySignature?: ContractWalletCheck | undefined
}

type Verifier = (signed: Signed) => boolean | Promise<boolean>

const invalid = (detail: string): ProtocolError => new ProtocolError('identity_invalid', detail)
const unknownType = () => invalid('its kind of signature is not known')

/** The address of an uncompressed public key (65 bytes), in lower case: the last 20 bytes of its hash. */
export const ethereumAddressOf = (key: Uint8Array): string =>
  `0x${toHex(keccak_256(key.subarray(1)).subarray(12))}`

/**
 * The address of the signer in lower case; undefined for a signature that no key can have made.
 *
 * @param hash what was signed, 32 bytes.
 * @param rs `r` and `s`, 64 bytes. A high `s` is taken: who needs signatures to be unique refuses it before.
 * @param v 27 or 28, or the bare parity 0 or 1.
 */
export const recoverAddress = (hash: Uint8Array, rs: Uint8Array, v: number): string | undefined => {
  const parity = v >= 27 ? v - 27 : v
  if (parity !== 0 && parity !== 1) return undefined
  const key = secp256k1.recoverKey(hash, rs, parity)
  return key && ethereumAddressOf(key)
}

/** Hash of a text as wallets sign it (EIP-191, version 0x45). */
export const eip191Hash = (text: string): Uint8Array => {
  const bytes = utf8(text)
  return keccak_256(concat(utf8(`\u0019Ethereum Signed Message:\n${bytes.length}`), bytes))
}

/** The address of who signed the text, in lower case; undefined when nobody can have. */
const signerOf = (text: string, signature: Uint8Array): string | undefined =>
  signature.length === 65
    ? recoverAddress(eip191Hash(text), signature.subarray(0, 64), signature[64] ?? 0)
    : undefined

const byEthereum: Verifier = async ({ account, texts, signature: { t, s }, verifySignature }) => {
  const bytes = decoded(s.replace(/^0x/i, ''), fromHex)
  if (!bytes) throw invalid('its signature is not hex')
  if (t === 'eip191') {
    const address = account.address.toLowerCase()
    return texts.some((text) => signerOf(text, bytes) === address)
  }
  if (t !== 'eip1271' && t !== 'eip6492') throw unknownType()
  if (!verifySignature) throw invalid('contract wallets cannot be verified here')
  const signature = `0x${toHex(bytes)}`
  for (const text of texts) if (await verifySignature({ account, text, signature })) return true
  return false
}

const decoded = (text: string, decode: (text: string) => Uint8Array): Uint8Array | undefined => {
  try {
    return decode(text)
  } catch {
    return undefined
  }
}

const ED25519_BYTES = 64

/** 64 bytes are 128 digits of hex, and never so many of base58; what base58 does not know may be base64. */
const ed25519Signature = (text: string): Uint8Array => {
  const decoders = text.length >= 2 * ED25519_BYTES ? [fromHex] : [fromBase58, fromBase64url]
  const plain = text.replace(/^0x/, '')
  for (const decode of decoders) {
    const bytes = decoded(plain, decode)
    if (bytes?.length === ED25519_BYTES) return bytes
  }
  throw invalid('its signature is not 64 bytes in base58')
}

const bySolana: Verifier = ({ account, texts, signature: { t, s } }) => {
  if (t !== 'solana:ed25519' && t !== 'ed25519') throw unknownType()
  const signature = ed25519Signature(s)
  const key = fromBase58(account.address)
  return texts.some((text) => crypto.ed25519Verify(signature, utf8(text), key))
}

const VERIFIERS: Record<NamespaceId, Verifier> = { eip155: byEthereum, solana: bySolana }

/** Whether the account signed one of the texts. Throws `identity_invalid`, and what `verifySignature` throws. */
export const hasSigned = async (signed: Signed): Promise<boolean> =>
  VERIFIERS[namespaceOf(signed.account).id](signed)
