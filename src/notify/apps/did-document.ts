/**
 * did:web documents of the notify server and of apps: what wallets read the keys from that they seal requests to and
 * verify answers with. Published clients find the keys by the first entries of `keyAgreement` and `authentication`, or by
 * their ids `wc-notify-…`: both are the present keys. Former keys that still count follow under ids with a number, for
 * clients that verify with whatever key is listed.
 */
import type * as z from 'zod'
import { toBase64url } from '../../protocol/bytes.ts'
import { didWeb } from '../../protocol/did.ts'
import type { DidDocument } from '../http/schema.ts'
import { allKeys, type KeyRing } from './key-ring.ts'

export const didDocument = (domain: string, ring: KeyRing): z.infer<typeof DidDocument> => {
  const did = didWeb(domain)
  const method = (name: string, crv: string, key: Uint8Array) => ({
    id: `${did}#${name}`,
    type: 'JsonWebKey2020' as const,
    controller: did,
    publicKeyJwk: { kty: 'OKP' as const, crv, x: toBase64url(key) },
  })
  const methods = allKeys(ring).map(({ subscribe, authentication }, at) => {
    const suffix = at === 0 ? '' : `-${at + 1}`
    return {
      agreement: method(`wc-notify-subscribe-key${suffix}`, 'X25519', subscribe.publicKey),
      authentication: method(`wc-notify-authentication-key${suffix}`, 'Ed25519', authentication.publicKey),
    }
  })
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/suites/jws-2020/v1'],
    id: did,
    verificationMethod: methods.flatMap(({ agreement, authentication }) => [agreement, authentication]),
    keyAgreement: methods.map(({ agreement }) => agreement.id),
    authentication: methods.map(({ authentication }) => authentication.id),
  }
}
