/**
 * The other way to be allowed a change: a did-jwt of an Ed25519 key that speaks for the account.
 *
 * | claim | what it is |
 * |---|---|
 * | iss | did:key of the key |
 * | sub | the DID of the account |
 * | aud | did:web of this server |
 * | act | `grant_installation`, `revoke_installation` |
 * | name, value | the installation; the value as text in the encoding of its name |
 * | validity | seconds, of a grant; without it as long as may be |
 * | iat, exp | at most 300 s apart |
 * | jti | works once |
 */
import * as z from 'zod'
import { crypto } from '#crypto'
import { toBase64url, utf8 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { signJwt, verifyJwt } from '../protocol/jwt.ts'
import type { SigningKey } from '../protocol/keys.ts'
import type { Ticket } from './store.ts'

export type Act = 'grant_installation' | 'revoke_installation'

/** s */
const MAX_LIFE_S = 300
const LEEWAY_S = 300
/** Processes on one store may have clocks that differ: a used one is remembered for longer than it could be used, s. */
const CLOCK_MARGIN_S = 60

const claimsSchema = z.object({
  iss: z.string(),
  sub: z.string().max(512),
  aud: z.string(),
  name: z.string(),
  value: z.string(),
  validity: z.number().int().positive().optional(),
  iat: z.number(),
  exp: z.number(),
  jti: z.string().min(1).max(256),
})
type GrantClaims = z.output<typeof claimsSchema>

export interface Allowed {
  claims: GrantClaims
  ticket: Ticket
}

/** Throws `jwt_*`. Whether the key speaks for the account is not looked at here. */
export const verifyGrantJwt = (
  jwt: string,
  { now, act, isOwnDid }: { now: number; act: Act; isOwnDid: (did: string) => boolean },
): Allowed => {
  const parsed = claimsSchema.safeParse(verifyJwt(jwt, { now, act, leeway: LEEWAY_S }))
  if (!parsed.success) throw new ProtocolError('jwt_invalid', 'a claim is missing or wrong')
  const claims = parsed.data
  if (!isOwnDid(claims.aud)) throw new ProtocolError('jwt_wrong_audience')
  if (claims.exp - claims.iat > MAX_LIFE_S) throw new ProtocolError('jwt_invalid', 'it lives too long')
  // A jti is its issuer's (RFC 7519 §4.1.7), and may hold anything.
  const id = toBase64url(crypto.sha256(utf8(`${claims.iss} ${claims.jti}`)))
  return { claims, ticket: { kind: 'token', id, until: (claims.exp + LEEWAY_S + CLOCK_MARGIN_S) * 1000 } }
}

/** `now`: unix ms. */
export const signGrantJwt = (
  key: SigningKey,
  claims: { sub: string; aud: string; act: Act; name: string; value: string; validity?: number },
  now: number,
): string => {
  const iat = Math.floor(now / 1000)
  const jti = toBase64url(crypto.randomBytes(16))
  return signJwt({ iss: key.did, ...claims, iat, exp: iat + MAX_LIFE_S, jti }, key)
}
