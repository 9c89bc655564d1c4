/**
 * did:web documents of the notify server and of apps: what wallets read the keys from that they seal requests to and
 * verify answers with. Published clients find the keys by the first entries of `keyAgreement` and `authentication`.
 */
import type { z } from '@hono/zod-openapi'
import { fromHex, toBase64url } from '../protocol/bytes.ts'
import { didWeb } from '../protocol/did.ts'
import type { DidDocument } from './http-schema.ts'

/** `subscribeKey` (X25519) and `authenticationKey` (Ed25519) are public keys, hex. */
export const didDocument = (
  domain: string,
  keys: { subscribeKey: string; authenticationKey: string },
): z.infer<typeof DidDocument> => {
  const did = didWeb(domain)
  const method = (name: string, crv: string, key: string) => ({
    id: `${did}#${name}`,
    type: 'JsonWebKey2020' as const,
    controller: did,
    publicKeyJwk: { kty: 'OKP' as const, crv, x: toBase64url(fromHex(key)) },
  })
  const agreement = method('wc-notify-subscribe-key', 'X25519', keys.subscribeKey)
  const authentication = method('wc-notify-authentication-key', 'Ed25519', keys.authenticationKey)
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/suites/jws-2020/v1'],
    id: did,
    verificationMethod: [agreement, authentication],
    keyAgreement: [agreement.id],
    authentication: [authentication.id],
  }
}
