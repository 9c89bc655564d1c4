/** Verifies the tokens of `grant-jwt`, on the server. */
import * as z from 'zod'
import { crypto } from '#crypto'
import { verifyJwtAsync } from '../platform/jws.ts'
import { toBase64url, utf8 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Act, MAX_GRANT_LIFE_S } from './grant-jwt.ts'
import type { Ticket } from './store.ts'

const LEEWAY_S = 300
/** Clocks of processes on one store may differ: a used token is remembered for longer than it could be used. */
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

export interface VerifiedGrant {
  claims: z.output<typeof claimsSchema>
  ticket: Ticket
}

/** Throws `jwt_*`. Whether the key speaks for the account is for the caller to check. */
export const verifyGrantJwt = async (
  jwt: string,
  { now, act, isOwnDid }: { now: number; act: Act; isOwnDid: (did: string) => boolean },
): Promise<VerifiedGrant> => {
  const parsed = claimsSchema.safeParse(await verifyJwtAsync(jwt, { now, act, leeway: LEEWAY_S }))
  if (!parsed.success) throw new ProtocolError('jwt_invalid', 'a claim is missing or wrong')
  const claims = parsed.data
  if (!isOwnDid(claims.aud)) throw new ProtocolError('jwt_wrong_audience')
  if (claims.exp - claims.iat > MAX_GRANT_LIFE_S) throw new ProtocolError('jwt_invalid', 'it lives too long')
  // A jti is its issuer's (RFC 7519 §4.1.7), and may hold anything.
  const id = toBase64url(crypto.sha256(utf8(`${claims.iss} ${claims.jti}`)))
  return { claims, ticket: { kind: 'token', id, until: (claims.exp + LEEWAY_S + CLOCK_MARGIN_S) * 1000 } }
}
