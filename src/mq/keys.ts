/**
 * The Ed25519 keys behind a DID URL.
 *
 * | DID      | keys                                                                                          |
 * |----------|-----------------------------------------------------------------------------------------------|
 * | did:key  | its own                                                                                       |
 * | did:web  | the method of that id in the document, if it stands under `authentication`; kept for 5 minutes |
 * | did:pkh  | the fragment is an identity key (`z6Mk…`) that the account registered here, and has not revoked |
 *
 * Answers none for what is not there or cannot be read; throws `unavailable` where somebody who knows does not answer.
 */
import { createTtlCache } from '../platform/concurrency/ttl-cache.ts'
import type { PublicFetch } from '../platform/net/public-fetch.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { accountKey } from '../protocol/caip.ts'
import {
  accountFromDidPkh,
  type DidDocument,
  ed25519FromDid,
  ed25519FromJwk,
  ed25519FromMultibase,
  parseDidDocument,
  readMethod,
  type VerificationMethod,
} from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { splitDidUrl } from './dids.ts'

export type FindKeys = (kid: string) => Promise<Uint8Array[]>

export interface FindKeysDeps {
  fetch: PublicFetch
  /** Whether an identity key (did:key) is registered for the account now. */
  speaksFor: (identityKey: string, accountKey: string) => Promise<boolean>
  clock: Clock
}

const DOCUMENT_CACHE = { ttlMs: 300_000, entries: 10_000 }
const DOCUMENT_TIMEOUT_MS = 5_000
const MAX_DOCUMENT_BYTES = 64 * 1024
const WEB = /^did:web:([A-Za-z0-9._-]{1,253}(?:%3[Aa][0-9]{1,5})?)((?::[A-Za-z0-9._-]{1,64}){0,8})$/

/** Where the document of a did:web is. */
const documentUrl = (did: string): string | undefined => {
  const [, host, path = ''] = WEB.exec(did) ?? []
  if (host === undefined) return undefined
  const where = path === '' ? '/.well-known' : path.replaceAll(':', '/')
  return `https://${host.replace(/%3a/i, ':')}${where}/did.json`
}

/** Of a method with two keys the multibase one counts; one with a JWK that cannot be read counts for nothing. */
const keyOf = ({ publicKeyJwk, publicKeyMultibase }: VerificationMethod): Uint8Array[] => {
  if (publicKeyJwk === null) return []
  const key =
    publicKeyMultibase === undefined ? ed25519FromJwk(publicKeyJwk) : ed25519FromMultibase(publicKeyMultibase)
  return key ? [key] : []
}

/** Ids may be relative to the document. */
const isSameId = (id: string, kid: string, did: string): boolean => id === kid || did + id === kid

/** What cannot be read in a document is skipped. Throws `unavailable` for what is no document. */
const keysIn = (text: string, kid: string): Uint8Array[] => {
  const { did } = splitDidUrl(kid)
  let document: DidDocument
  try {
    document = parseDidDocument(text)
  } catch (cause) {
    throw new ProtocolError('unavailable', 'the DID document cannot be read', { cause })
  }
  if (document.id !== did) return []
  const methods = (entries: readonly unknown[]): VerificationMethod[] =>
    entries.flatMap((entry) => {
      const method = readMethod(entry)
      return method && isSameId(method.id, kid, did) ? [method] : []
    })
  const { authentication, verificationMethod } = document
  const isReferred = authentication.some((one) => typeof one === 'string' && isSameId(one, kid, did))
  return [...methods(authentication), ...(isReferred ? methods(verificationMethod) : [])].flatMap(keyOf)
}

export const createFindKeys = ({ fetch, speaksFor, clock }: FindKeysDeps): FindKeys => {
  const documents = createTtlCache<string>({ clock }, DOCUMENT_CACHE)

  const ask = async (url: string): Promise<string> => {
    const { status, body } = await fetch(url, {
      milliseconds: DOCUMENT_TIMEOUT_MS,
      bytes: MAX_DOCUMENT_BYTES,
    })
    if (status !== 200) throw new ProtocolError('unavailable', `the DID document answered ${status}`)
    return body
  }

  const ofAccount = async (did: string, fragment = ''): Promise<Uint8Array[]> => {
    const identityKey = fragment.startsWith('did:key:') ? fragment : `did:key:${fragment}`
    const key = ed25519FromDid(identityKey)
    return (await speaksFor(identityKey, accountKey(accountFromDidPkh(did)))) ? [key] : []
  }

  return async (kid) => {
    const { did, fragment } = splitDidUrl(kid)
    try {
      if (did.startsWith('did:key:')) {
        const isItself = fragment === undefined || did === `did:key:${fragment}`
        return isItself ? [ed25519FromDid(did)] : []
      }
      if (did.startsWith('did:pkh:')) return await ofAccount(did, fragment)
      const url = documentUrl(did)
      return url === undefined || fragment === undefined
        ? []
        : keysIn(await documents(url, () => ask(url)), kid)
    } catch (error) {
      // What is no key or no account has signed nothing; nor has a host in our own network.
      if (error instanceof ProtocolError && error.code !== 'unavailable') return []
      throw error
    }
  }
}
