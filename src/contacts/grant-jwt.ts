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
 *
 * Clients sign here, synchronously: browsers and React Native need not have Ed25519 in WebCrypto. The server verifies with
 * jose (`verify-grant`), which clients do not load.
 */
import { crypto } from '#crypto'
import { toBase64url } from '../protocol/bytes.ts'
import { signJwt } from '../protocol/jwt.ts'
import type { SigningKey } from '../protocol/keys.ts'

export type Act = 'grant_installation' | 'revoke_installation'

/** From `iat` to `exp`, at most. */
export const MAX_GRANT_LIFE_S = 300

/** `now`: unix ms. */
export const signGrantJwt = (
  key: SigningKey,
  claims: { sub: string; aud: string; act: Act; name: string; value: string; validity?: number },
  now: number,
): string => {
  const iat = Math.floor(now / 1000)
  const jti = toBase64url(crypto.randomBytes(16))
  return signJwt({ iss: key.did, ...claims, iat, exp: iat + MAX_GRANT_LIFE_S, jti }, key)
}
