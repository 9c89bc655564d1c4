/**
 * JWS off the hot path, by jose: message queue tokens, proofs of queue readers and grants of installations. The relay and
 * the notify server sign and verify synchronously (`protocol/jwt`); a differential test holds both to the same bytes.
 *
 * What is accepted is what `protocol/jwt` accepts. Callers have parsed the header, so `alg` is EdDSA and nothing is in
 * `crit`. The checks here stand in front of jose, because WebCrypto is laxer with points and with the text of a signature.
 *
 * jose reads the URL-safe alphabet alone, and real clients write the standard one, too. A part that is spelled with it is
 * verified by `#crypto`. secp256k1 (ES256K) is no algorithm of WebCrypto, so jose 6 has none: `mq/proof` recovers it.
 */
import { CompactSign, compactVerify, errors, importJWK } from 'jose'
import { crypto } from '#crypto'
import { fromBase64url, toBase64url, utf8 } from '../protocol/bytes.ts'
import { ed25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Claims, checkClaims, decodeJwt, type JwtExpectations } from '../protocol/jwt.ts'
import type { SigningKey } from '../protocol/keys.ts'
import { isRefusedPoint } from './runtime/ed25519-strict.ts'

const ALGORITHM = 'EdDSA'
const SIGNATURE_BYTES = 64
const STANDARD_ALPHABET = /[+/]/

const importJwk = (jwk: { x: string; d?: string }) =>
  importJWK({ kty: 'OKP', crv: 'Ed25519', ...jwk }, ALGORITHM)

/**
 * Whether the Ed25519 key signed the JWS.
 *
 * @param input header and payload as they were signed, with the point between them. The header is one that the caller
 *   has read: an object with `alg: EdDSA` and without `crit`.
 * @param publicKey 32 bytes.
 */
export const isSignedBy = async (
  input: string,
  signature: Uint8Array,
  publicKey: Uint8Array,
): Promise<boolean> => {
  if (signature.length !== SIGNATURE_BYTES) return false
  if (isRefusedPoint(publicKey) || isRefusedPoint(signature)) return false
  if (STANDARD_ALPHABET.test(input)) return crypto.ed25519Verify(signature, utf8(input), publicKey)
  try {
    const key = await importJwk({ x: toBase64url(publicKey) })
    await compactVerify(`${input}.${toBase64url(signature)}`, key, { algorithms: [ALGORITHM] })
    return true
  } catch (error) {
    // WebCrypto may refuse bytes that are no point of the curve.
    if (error instanceof errors.JOSEError || error instanceof DOMException) return false
    throw error
  }
}

/** `verifyJwt` of `protocol/jwt` by jose: the same claims, and the same errors in the same order. */
export const verifyJwtAsync = async (token: string, expected: JwtExpectations): Promise<Claims> => {
  const { claims } = decodeJwt(token, expected.lifetime)
  if (!(await isSignedByIssuer(token, claims.iss))) {
    throw new ProtocolError('jwt_invalid', 'the signature is wrong')
  }
  return checkClaims(claims, expected)
}

const isSignedByIssuer = async (token: string, issuer: string): Promise<boolean> => {
  const end = token.lastIndexOf('.')
  let signature: Uint8Array
  let publicKey: Uint8Array
  try {
    signature = fromBase64url(token.slice(end + 1))
    publicKey = ed25519FromDid(issuer)
  } catch {
    // Neither an issuer that is no did:key nor a signature that is no base64url has signed anything.
    return false
  }
  return isSignedBy(token.slice(0, end), signature, publicKey)
}

/** Signs the claims as `signJwt` of `protocol/jwt` does, with the same bytes. The key is imported once. */
export const createJwtSigner = ({ seed, publicKey }: SigningKey): ((claims: Claims) => Promise<string>) => {
  let key: ReturnType<typeof importJwk> | undefined
  return async (claims) => {
    key ??= importJwk({ x: toBase64url(publicKey), d: toBase64url(seed) })
    return new CompactSign(utf8(JSON.stringify(claims)))
      .setProtectedHeader({ typ: 'JWT', alg: ALGORITHM })
      .sign(await key)
  }
}
