/**
 * The token with which a relay client says who it is, at the relay and at the archive (protocol §4): a did-jwt of the
 * client id with `iat` and `exp`, a day apart in published clients. It has no `act`. A JWT that the same key signed for
 * a purpose, such as a watch registration, is handed to others, so it must not log in.
 */
import { ProtocolError } from './errors.ts'
import { type Claims, verifyJwt } from './jwt.ts'

/** How far clocks may differ, s. */
export const CLIENT_TOKEN_LEEWAY_S = 120
/** From `iat` to `exp`; without the leeway, s. */
export const CLIENT_TOKEN_LIFE_S = 86_400

/**
 * The claims of a token that its issuer signed, valid at `now` (unix ms), for `act` and for nothing else. The audience
 * is for the caller to check. Throws `jwt_invalid`, also for a life of more than a day, `jwt_expired`, `jwt_wrong_act`.
 */
export const verifyClientToken = (token: string, { now, act }: { now: number; act?: string }): Claims => {
  const claims = verifyJwt(token, { now, leeway: CLIENT_TOKEN_LEEWAY_S })
  // Some encoders write an absent claim as null.
  if ((claims.act ?? undefined) !== act) throw new ProtocolError('jwt_wrong_act')
  if (claims.exp - claims.iat > CLIENT_TOKEN_LIFE_S + CLIENT_TOKEN_LEEWAY_S) {
    throw new ProtocolError('jwt_invalid', 'it is good for more than a day')
  }
  return claims
}
