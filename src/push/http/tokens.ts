/** Who asks: the did-jwt of a client, in the Authorization header. */
import { verifyClientToken } from '../../protocol/client-token.ts'
import { ProtocolError } from '../../protocol/errors.ts'

interface TokenCheck {
  now: () => number
  /** Whether a token made out to this URL is meant for us. */
  isAudience: (url: unknown) => boolean
}

const tokenOf = (header: string | undefined): string | undefined =>
  header === undefined ? undefined : /^(?:Bearer\s+)?(\S+)\s*$/i.exec(header)?.[1]

/**
 * The client that signed the token; undefined where there is none. Throws `unauthenticated`, `jwt_…`. `act`: a token of ours says
 * what it is for, so that none that was made for something else registers a device.
 */
export const clientOf = (
  header: string | undefined,
  { now, isAudience }: TokenCheck,
  act?: string,
): string | undefined => {
  if (header === undefined || header.trim() === '') return undefined
  const token = tokenOf(header)
  if (token === undefined) throw new ProtocolError('unauthenticated')
  const claims = verifyClientToken(token, { now: now(), ...(act !== undefined && { act }) })
  if (!isAudience(claims.aud)) throw new ProtocolError('jwt_wrong_audience')
  return claims.iss
}
