/** The JWTs by which identity keys ask the registry for something (`idAuth`). */
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { accountKey } from '../protocol/caip.ts'
import { accountFromDidPkh, x25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Claims, verifyJwt } from '../protocol/jwt.ts'

/** The claims of a JWT that its issuer, an identity key, made for us and for this action. Throws `jwt_*`. */
export type ReadToken = (idAuth: string, act: string) => Claims

/** `isOwnUrl`: whether a JWT with this `aud` is meant for us. Without it every audience is taken. */
export const createTokenReader =
  ({ clock, log }: { clock: Clock; log: Log }, isOwnUrl: ((url: string) => boolean) | undefined): ReadToken =>
  (idAuth, act) => {
    const claims = verifyJwt(idAuth, { now: clock.now(), act })
    const { aud } = claims
    if (isOwnUrl && !(typeof aud === 'string' && isOwnUrl(aud))) {
      log.warn(
        { act, aud: typeof aud === 'string' ? aud.slice(0, 256) : null },
        'A JWT for another key server',
      )
      throw new ProtocolError('jwt_wrong_audience')
    }
    return claims
  }

/** The account for which the identity key speaks here (`pkh`), as it is written and as it is stored. */
export const accountIn = ({ pkh }: Claims): { account: string; key: string } => {
  if (typeof pkh !== 'string') throw new ProtocolError('bad_params', 'the JWT has no pkh')
  const account = accountFromDidPkh(pkh)
  return { account: account.text, key: accountKey(account) }
}

/** The invite key (did:key) that is to be registered. */
export const inviteKeyIn = ({ sub }: Claims): string => {
  if (typeof sub !== 'string') throw new ProtocolError('bad_params', 'the JWT has no sub')
  x25519FromDid(sub)
  return sub
}

/** Whether the identity key says itself that it is the account's. Throws for a JWT that says something else. */
export const isProvenBy = (
  readToken: ReadToken,
  idAuth: string | undefined,
  identityKey: string,
  key: string,
): boolean => {
  if (idAuth === undefined) return false
  const claims = readToken(idAuth, 'register_identity')
  if (claims.iss !== identityKey) throw new ProtocolError('jwt_invalid', 'another key signed it')
  if (accountIn(claims).key !== key) throw new ProtocolError('account_mismatch')
  return true
}
