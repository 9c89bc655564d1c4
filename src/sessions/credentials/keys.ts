/**
 * Keys of issuers and holders as JWKs: Ed25519 (`EdDSA`) and P-256 (`ES256`). The algorithm follows from the key; what a
 * token's header says is only compared with it. Runs in a browser.
 */
import { p256 } from '@noble/curves/nist.js'
import * as z from 'zod'
import { crypto } from '#crypto'
import { concat, fromBase64url } from '../../protocol/bytes.ts'

export type KeyAlgorithm = 'EdDSA' | 'ES256'

/** Signs for the holder of a credential; the key may be elsewhere (a secure element). */
export interface HolderKey {
  alg: KeyAlgorithm
  /** 64 bytes: of Ed25519 as they are, of ES256 r and s. */
  sign(message: Uint8Array): Promise<Uint8Array>
}

export interface PublicKey {
  alg: KeyAlgorithm
  kid: string | undefined
  /** False for everything that is no signature of this key. */
  verify(signature: Uint8Array, message: Uint8Array): boolean
}

const bytes32 = z
  .string()
  .regex(/^[\w-]{43}$/)
  .transform(fromBase64url)
const kid = z.string().optional()
const okp = { kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: bytes32, kid }
const ec = { kty: z.literal('EC'), crv: z.literal('P-256'), x: bytes32, y: bytes32, kid }

const PublicJwk = z.discriminatedUnion('kty', [z.object(okp), z.object(ec)])
const PrivateJwk = z.discriminatedUnion('kty', [
  z.object({ ...okp, d: bytes32 }),
  z.object({ ...ec, d: bytes32 }),
])

/** Undefined for what is no key of ours. */
export const publicKeyOf = (jwk: unknown): PublicKey | undefined => {
  const parsed = PublicJwk.safeParse(jwk)
  if (!parsed.success) return undefined
  const key = parsed.data
  if (key.kty === 'OKP') {
    return {
      alg: 'EdDSA',
      kid: key.kid,
      verify: (signature, message) => crypto.ed25519Verify(signature, message, key.x),
    }
  }
  const point = concat(Uint8Array.of(4), key.x, key.y)
  return {
    alg: 'ES256',
    kid: key.kid,
    verify(signature, message) {
      try {
        // RFC 7518 asks for no low s.
        return p256.verify(signature, message, point, { lowS: false })
      } catch {
        return false
      }
    },
  }
}

/**
 * A holder key from a private JWK of Ed25519 or P-256.
 *
 * @param jwk with `d`
 * @returns the key
 * @throws `Error`, without the text of the key, for another JWK
 */
export const holderKeyOf = (jwk: unknown): HolderKey => {
  const parsed = PrivateJwk.safeParse(jwk)
  // The parser's own words could quote the key.
  if (!parsed.success) throw new Error('Not a private JWK of Ed25519 or P-256')
  const { kty, d } = parsed.data
  return kty === 'OKP'
    ? { alg: 'EdDSA', sign: async (message) => crypto.ed25519Sign(message, d) }
    : { alg: 'ES256', sign: async (message) => p256.sign(message, d) }
}
