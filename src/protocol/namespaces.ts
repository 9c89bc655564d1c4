/**
 * The namespaces of accounts that can be verified, and how a CACAO of each is written; `signatures` verifies them. Others
 * are refused. Wallets, which only sign, need no more than this.
 */
import type { Account } from './caip.ts'
import { accountFromDidPkh } from './did.ts'
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

/** What is written into the text of a CACAO: its payload, as `cacao` has it. */
interface Written {
  p: {
    aud: string
    domain: string
    iss: string
    version: string
    nonce: string
    iat: string
    exp?: string | undefined
    nbf?: string | undefined
    requestId?: string | undefined
    resources?: readonly string[] | undefined
  }
}

/** The account that signed. Throws `identity_invalid`. */
export const accountOf = (cacao: Written): Account => {
  try {
    return accountFromDidPkh(cacao.p.iss)
  } catch {
    throw new ProtocolError('identity_invalid', 'its issuer is not the did:pkh of an account')
  }
}

/**
 * The texts that may have been signed, the likeliest first. With a statement there is one. Without, what is between the
 * address and the URI differs: two empty lines (EIP-4361, and newer clients, which drop an empty statement), three (older
 * ones, which keep it as a line of its own), or one. Throws `identity_invalid`.
 */
export const textsWith = (cacao: Written, statement: string): string[] => {
  const { p } = cacao
  const account = accountOf(cacao)
  const { name } = namespaceOf(account)
  const head = [`${p.domain} wants you to sign in with your ${name} account:`, account.address]
  const tail = [
    `URI: ${p.aud}`,
    `Version: ${p.version}`,
    `Chain ID: ${account.reference}`,
    `Nonce: ${p.nonce}`,
    `Issued At: ${p.iat}`,
  ]
  if (p.exp) tail.push(`Expiration Time: ${p.exp}`)
  if (p.nbf) tail.push(`Not Before: ${p.nbf}`)
  if (p.requestId) tail.push(`Request ID: ${p.requestId}`)
  const resources = p.resources?.map((resource) => `- ${resource}`)
  const middles = statement ? [['', statement, '']] : [['', ''], ['', '', ''], ['']]
  // An empty list keeps its heading with newer clients and loses it with older ones.
  const ends = !resources
    ? [[]]
    : resources.length > 0
      ? [['Resources:', ...resources]]
      : [['Resources:'], []]
  return middles.flatMap((middle) => ends.map((end) => [...head, ...middle, ...tail, ...end].join('\n')))
}
