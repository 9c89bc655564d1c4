/** Who may speak for a domain: the Ed25519 keys that its did document lists for authentication. */
import {
  type DidDocument,
  ed25519Did,
  ed25519FromJwk,
  ed25519FromMultibase,
  isEd25519Jwk,
  parseDidDocument,
  readMethod,
  type VerificationMethod,
} from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'

/** Of each list of a document. */
const MAX_ENTRIES = 100

/** Of a method with two keys the JWK counts. */
const keyOf = ({ publicKeyJwk, publicKeyMultibase }: VerificationMethod): string[] => {
  const key = isEd25519Jwk(publicKeyJwk)
    ? ed25519FromJwk(publicKeyJwk)
    : ed25519FromMultibase(publicKeyMultibase)
  return key ? [ed25519Did(key)] : []
}

/** Every entry, or none where one of them is malformed: what stands beside it may not mean what it says. */
const readAll = <T>(
  entries: readonly unknown[],
  read: (entry: unknown) => T | undefined,
): T[] | undefined => {
  const found = entries.slice(0, MAX_ENTRIES).flatMap((entry) => read(entry) ?? [])
  return found.length === entries.length ? found : undefined
}

const parsed = (text: string): DidDocument | undefined => {
  try {
    return parseDidDocument(text)
  } catch {
    return undefined
  }
}

/** As did:keys. Throws `unavailable` for what is not the document of this DID. */
export const authenticationKeys = (text: string, did: string): string[] => {
  const document = parsed(text)
  const methods = document && readAll(document.verificationMethod, readMethod)
  const listed =
    document &&
    readAll(document.authentication, (entry) => (typeof entry === 'string' ? entry : readMethod(entry)))
  if (!methods || !listed || document.id.toLowerCase() !== did.toLowerCase()) {
    throw new ProtocolError('unavailable', 'its domain has no such did document')
  }
  /** References may leave out the DID. */
  const referred = (reference: string) =>
    methods.filter(({ id }) => id === reference || id === document.id + reference)
  return listed.flatMap((one) => (typeof one === 'string' ? referred(one) : [one])).flatMap(keyOf)
}
