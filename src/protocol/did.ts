/**
 * Decentralised identifiers as they appear on the wire: did:key of our two curves, did:pkh (an account), did:web (a
 * domain) and did:jwk. Every reader throws `bad_params` for what is not exactly that.
 */
import * as z from 'zod'
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
