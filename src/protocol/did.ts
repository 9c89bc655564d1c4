/**
 * Decentralised identifiers as they appear on the wire: did:key of our two curves, did:pkh (an account), did:web (a
 * domain) and did:jwk, each reader of which throws `bad_params` for what is not exactly that; and DID documents.
 */
import * as z from '#schema'
import { concat, fromBase58, fromBase64url, fromUtf8, toBase58, toBase64url, utf8 } from './bytes.ts'
import { type Account, parseAccount } from './caip.ts'
import { ProtocolError } from './errors.ts'

// Multicodec prefixes, as varints. https://www.w3.org/TR/did-key/
const ED25519 = Uint8Array.of(0xed, 0x01)
const X25519 = Uint8Array.of(0xec, 0x01)
const KEY = 'did:key:z'
const PKH = 'did:pkh:'
const WEB = 'did:web:'
const JWK = 'did:jwk:'

const keyDid = (prefix: Uint8Array, publicKey: Uint8Array): string => {
  if (publicKey.length !== 32) throw new ProtocolError('bad_params', 'a public key has 32 bytes')
  return KEY + toBase58(concat(prefix, publicKey))
}

const keyFromDid = (prefix: Uint8Array, name: string, did: string): Uint8Array => {
  // 34 bytes are 46 or 47 characters; longer ones need not be decoded to be refused.
  if (did.startsWith(KEY) && did.length < 64) {
    const bytes = fromBase58(did.slice(KEY.length))
    if (bytes.length === 34 && bytes[0] === prefix[0] && bytes[1] === prefix[1]) return bytes.slice(2)
  }
  throw new ProtocolError('bad_params', `it is not the did:key of an ${name} key`)
}

/** `did:key:z6Mk…` */
export const ed25519Did = (publicKey: Uint8Array): string => keyDid(ED25519, publicKey)
/** `did:key:z6LS…` */
export const x25519Did = (publicKey: Uint8Array): string => keyDid(X25519, publicKey)
export const ed25519FromDid = (did: string): Uint8Array => keyFromDid(ED25519, 'Ed25519', did)
export const x25519FromDid = (did: string): Uint8Array => keyFromDid(X25519, 'X25519', did)

/** did:pkh of a CAIP-10 account, byte for byte as it is written. */
export const didPkh = (accountText: string): string => PKH + accountText

export const accountFromDidPkh = (did: string): Account => {
  if (!did.startsWith(PKH)) throw new ProtocolError('bad_params', 'it is not a did:pkh')
  return parseAccount(did.slice(PKH.length))
}

const DOMAIN = /^[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?$/

/** `example.com` → `did:web:example.com`, `localhost:3000` → `did:web:localhost%3A3000`. */
export const didWeb = (domain: string): string => WEB + domain.replaceAll(':', '%3A')

/**
 * The domain, with its port. Paths are not domains of ours. A port behind a bare colon is understood too: published
 * notify clients put the domain behind `did:web:` as it is.
 */
export const domainFromDidWeb = (did: string): string => {
  const domain = did.startsWith(WEB) ? did.slice(WEB.length).replace(/%3a/i, ':') : ''
  if (!DOMAIN.test(domain)) throw new ProtocolError('bad_params', 'it is not the did:web of a domain')
  return domain
}

const jwkSchema = z.looseObject({ kty: z.string() })
/** A public key as JSON (RFC 7517); which members there are depends on `kty`. */
export type Jwk = z.infer<typeof jwkSchema>

export const didJwk = (jwk: Jwk): string => JWK + toBase64url(utf8(JSON.stringify(jwk)))

export const jwkFromDid = (did: string): Jwk => {
  if (did.startsWith(JWK)) {
    try {
      return jwkSchema.parse(JSON.parse(fromUtf8(fromBase64url(did.slice(JWK.length)))))
    } catch {
      // Said below.
    }
  }
  throw new ProtocolError('bad_params', 'it is not a did:jwk')
}

// DID documents of others, and the Ed25519 keys in them. https://www.w3.org/TR/did-core/
// They are read as they are: whose document it is, which method counts and what a malformed one means the caller decides.

const documentSchema = z.object({
  id: z.string(),
  verificationMethod: z.array(z.unknown()).default([]),
  /** Methods, or their ids. */
  authentication: z.array(z.unknown()).default([]),
})
export type DidDocument = z.output<typeof documentSchema>

/** Throws for what is no JSON, or no document. */
export const parseDidDocument = (text: string): DidDocument => documentSchema.parse(JSON.parse(text))

const okpSchema = z.object({ kty: z.string(), crv: z.string(), x: z.string() })

const methodSchema = z.object({
  id: z.string(),
  /** Null for what is no JWK with these members, in text. */
  publicKeyJwk: okpSchema.nullable().optional().catch(null),
  /** `z6Mk…`, as in a did:key. */
  publicKeyMultibase: z.string().optional(),
})
export type VerificationMethod = z.output<typeof methodSchema>

/** Undefined for what is no method: without an id, or with a `publicKeyMultibase` that is no text. */
export const readMethod = (entry: unknown): VerificationMethod | undefined =>
  methodSchema.safeParse(entry).data

/** The key of a JWK (RFC 8037), 32 bytes; undefined for what is no Ed25519 key. */
export const ed25519FromJwk = (jwk: VerificationMethod['publicKeyJwk']): Uint8Array | undefined => {
  if (!isEd25519Jwk(jwk)) return undefined
  try {
    const key = fromBase64url(jwk.x)
    return key.length === 32 ? key : undefined
  } catch {
    return undefined
  }
}

/** Whether the JWK says that it is an Ed25519 key. */
export const isEd25519Jwk = (
  jwk: VerificationMethod['publicKeyJwk'],
): jwk is NonNullable<VerificationMethod['publicKeyJwk']> => jwk?.kty === 'OKP' && jwk.crv === 'Ed25519'

/** The key of `z6Mk…`, 32 bytes; undefined for what is no Ed25519 key. */
export const ed25519FromMultibase = (text: string | undefined): Uint8Array | undefined => {
  try {
    return text === undefined ? undefined : ed25519FromDid(`did:key:${text}`)
  } catch {
    return undefined
  }
}
