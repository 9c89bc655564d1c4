/**
 * The namespaces of accounts that can be verified, and how a CACAO of each is written; `signatures` verifies them. Others
 * are refused. Wallets, which only sign, need no more than this.
 */
import type { Account } from './caip.ts'
import { ProtocolError } from './errors.ts'

/** As in a CACAO: its type, and its text. */
export interface Signature {
  t: string
  s: string
}

interface Namespace {
  /** What its wallets call it, in the text that they sign. */
  name: string
  /** How a CACAO of it is headed, and its signature typed, unless the wallet says otherwise. */
  header: 'eip4361' | 'caip122'
  signatureType: string
}

const NAMESPACES = {
  eip155: { name: 'Ethereum', header: 'eip4361', signatureType: 'eip191' },
  // CAIP-122 for Solana; published mobile SDKs write the type without the namespace.
  solana: { name: 'Solana', header: 'caip122', signatureType: 'solana:ed25519' },
} as const satisfies Record<string, Namespace>

export type NamespaceId = keyof typeof NAMESPACES

const isKnown = (id: string): id is NamespaceId => Object.hasOwn(NAMESPACES, id)

/** Throws `identity_invalid` where there is no verifier. */
export const namespaceOf = ({ namespace }: Account): Namespace & { id: NamespaceId } => {
  if (isKnown(namespace)) return { id: namespace, ...NAMESPACES[namespace] }
  throw new ProtocolError(
    'identity_invalid',
    `accounts of ${namespace} cannot be verified here, only those of ${Object.keys(NAMESPACES).join(' and ')}`,
  )
}
