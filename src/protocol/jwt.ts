/**
 * did-jwt: compact JWTs signed with Ed25519, by the key that `iss` names as a did:key. No header field is ever trusted
 * with the choice of a key.
 *
 * Real clients differ in spelling, so much is understood: any key order, extra claims, a missing `typ`, base64url with
 * or without padding and with `+/`, times in ms instead of s.
 */

import { crypto } from '#crypto'
import * as z from '#schema'
import { fromBase64url, fromUtf8, toBase64url, utf8 } from './bytes.ts'
import { ed25519FromDid } from './did.ts'
import { ProtocolError } from './errors.ts'
import type { SigningKey } from './keys.ts'

/** Claims; `iat` and `exp` are unix seconds. */
export type Claims = Record<string, unknown> & { iss: string; iat: number; exp: number }
export type JwtHeader = Record<string, unknown> & { alg: 'EdDSA' }

export interface JwtExpectations {
  /** Unix milliseconds. */
  now: number
  /** Seconds that clocks may differ; 300 unless given. */
  leeway?: number | undefined
  act?: string | undefined
  /** `aud` must be this string. */
  audience?: string | undefined
  /** `iss` must be this did:key. */
  issuer?: string | undefined
  /** Seconds between `iat` and `exp` at most, beside the leeway. */
  longest?: number | undefined
  /** Seconds that a JWT without `exp` is good for; without this one there must be an `exp`. */
  lifetime?: number | undefined
}

const LEEWAY_S = 300
/** The year 5138 in seconds, 1973 in milliseconds: above it a time is in milliseconds. */
const SURELY_MS = 1e11

const time = z
  .number()
  .nonnegative()
  .transform((value) => (value > SURELY_MS ? Math.floor(value / 1000) : value))
// RFC 7515 §4.1.11: a header with `crit` asks for an extension that we do not have.
const headerSchema = z.looseObject({ alg: z.literal('EdDSA'), crit: z.undefined().optional() })
const claimsSchema = z.looseObject({ iss: z.string(), iat: time, exp: time, nbf: time.optional() })
const lenientSchema = claimsSchema.extend({ exp: time.optional() })

const OURS = { typ: 'JWT', alg: 'EdDSA' } as const
const HEADER = toBase64url(utf8(JSON.stringify(OURS)))

export const signJwt = (claims: Claims, key: SigningKey): string => {
  const input = `${HEADER}.${toBase64url(utf8(JSON.stringify(claims)))}`
  return `${input}.${toBase64url(crypto.ed25519Sign(utf8(input), key.seed))}`
}

const split = (token: string) => {
  const [header, payload, signature, more] = token.split('.', 4)
  if (header === undefined || payload === undefined || signature === undefined || more !== undefined) {
    throw new ProtocolError('jwt_invalid', 'it has not three parts')
  }
  return { header, payload, signature, input: token.slice(0, header.length + 1 + payload.length) }
}

const readPart = <T>(part: string, schema: z.ZodType<T>, name: string): T => {
  try {
    return schema.parse(JSON.parse(fromUtf8(fromBase64url(part))))
  } catch {
    throw new ProtocolError('jwt_invalid', `its ${name} cannot be read`)
  }
}

/** Reads without verifying. Times are normalised to seconds. Throws `jwt_invalid`. */
export const decodeJwt = (token: string, lifetime?: number): { header: JwtHeader; claims: Claims } => {
  const { header, payload } = split(token)
  const schema = lifetime === undefined ? claimsSchema : lenientSchema
  const { exp, ...claims } = readPart(payload, schema, 'payload')
  return {
    header: header === HEADER ? { ...OURS } : readPart(header, headerSchema, 'header'),
    claims: { ...claims, exp: exp ?? claims.iat + (lifetime ?? 0) },
  }
}

const isSigned = (token: string, issuer: string): boolean => {
  const { input, signature } = split(token)
  try {
    return crypto.ed25519Verify(fromBase64url(signature), utf8(input), ed25519FromDid(issuer))
  } catch {
    // Neither an issuer that is no did:key nor a signature that is no base64url has signed anything.
    return false
  }
}

/** What was signed of a compact JWT. Two spellings of one signature have it in common, so it names the JWT. */
export const signedPartOf = (token: string): string => token.slice(0, token.lastIndexOf('.'))

/**
 * What is left to check of a JWT whose signature is good. Throws `jwt_invalid` for another issuer or too long a life,
 * `jwt_expired` (also when it is not valid yet), `jwt_wrong_act`, `jwt_wrong_audience`.
 */
export const checkClaims = (claims: Claims, expected: JwtExpectations): Claims => {
  if (expected.issuer !== undefined && claims.iss !== expected.issuer) {
    throw new ProtocolError('jwt_invalid', 'another key signed it')
  }
  const now = expected.now / 1000
  const leeway = expected.leeway ?? LEEWAY_S
  const notBefore = typeof claims.nbf === 'number' ? claims.nbf : claims.iat
  if (claims.exp <= now - leeway || claims.iat > now + leeway || notBefore > now + leeway) {
    throw new ProtocolError('jwt_expired')
  }
  if (expected.longest !== undefined && claims.exp - claims.iat > expected.longest + leeway) {
    throw new ProtocolError('jwt_invalid', 'it is good for too long')
  }
  if (expected.act !== undefined && claims.act !== expected.act) throw new ProtocolError('jwt_wrong_act')
  if (expected.audience !== undefined && claims.aud !== expected.audience) {
    throw new ProtocolError('jwt_wrong_audience')
  }
  return claims
}

/**
 * The claims of a JWT that its issuer signed, that is valid now and that is what was expected. Throws `jwt_invalid` for a
 * wrong signature, and what `checkClaims` throws; an unsigned one is not looked at further.
 */
export const verifyJwt = (token: string, expected: JwtExpectations): Claims => {
  const { claims } = decodeJwt(token, expected.lifetime)
  if (!isSigned(token, claims.iss)) throw new ProtocolError('jwt_invalid', 'the signature is wrong')
  return checkClaims(claims, expected)
}
