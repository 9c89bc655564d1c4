/**
 * Tokens: a JWT of the hub's own key for one queue, 900 s. Everybody gets one for any queue, and it opens nothing by
 * itself: who reads signs it. Stateless; every process with the same secret issues and verifies.
 *
 * `{iss: did:web of the server, sub: hashDID, aud: "mq:<domain>", iat, exp, jti}`, EdDSA
 */
import * as z from 'zod'
import { crypto } from '#crypto'
import { createJwtSigner, isSignedBy } from '../platform/jws.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { fromBase64url, toHex, utf8 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { decodeJwt } from '../protocol/jwt.ts'
import { type SigningKey, signingKeyFrom } from '../protocol/keys.ts'
import type { QueueName } from './store.ts'

const LIFE_S = 900
/** How far the clocks of processes may differ, s. */
const SKEW_S = 30
/** Ours has about 400 characters. */
const MAX_TOKEN_CHARACTERS = 2_048

export interface Tokens {
  /** `expires`: unix ms. */
  issue(queue: QueueName): Promise<{ token: string; expires: number }>
  /** Returns its id. Throws `forbidden` for what is not a token of ours for this queue, valid now. */
  verify(token: string | undefined, queue: QueueName): Promise<string>
}

/** The same for all processes that have the same secret; signs nothing else. */
export const tokenKeyFrom = (secret: Uint8Array): SigningKey =>
  signingKeyFrom(crypto.hkdfSha256(secret, 32, undefined, utf8('belfry mq tokens')))

const claimsSchema = z.object({ sub: z.string(), aud: z.string(), jti: z.string() })

const audienceOf = (domain: string) => `mq:${domain}`

export const createTokens = (deps: {
  key: SigningKey
  /** did:web of the server. */
  issuer: string
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}): Tokens => {
  const { key, issuer, clock, randomBytes } = deps
  const refused = (why: string) => new ProtocolError('forbidden', why)

  const sign = createJwtSigner(key)

  const isOurs = async (token: string): Promise<boolean> => {
    const end = token.lastIndexOf('.')
    let signature: Uint8Array
    try {
      signature = fromBase64url(token.slice(end + 1))
    } catch {
      return false
    }
    return isSignedBy(token.slice(0, end), signature, key.publicKey)
  }

  return {
    async issue({ domain, hashDID }) {
      const iat = Math.floor(clock.now() / 1000)
      const exp = iat + LIFE_S
      const jti = toHex(randomBytes(16))
      const token = await sign({ iss: issuer, sub: hashDID, aud: audienceOf(domain), iat, exp, jti })
      return { token, expires: exp * 1000 }
    },

    async verify(token, { domain, hashDID }) {
      if (token === undefined || token === '') throw refused('there is no token')
      if (token.length > MAX_TOKEN_CHARACTERS || !(await isOurs(token)))
        throw refused('the token is not one of this server')
      const { claims } = decodeJwt(token)
      const now = clock.now() / 1000
      if (claims.exp <= now || claims.iat > now + SKEW_S) throw refused('the token is expired')
      const { sub, aud, jti } = claimsSchema.parse(claims)
      if (aud !== audienceOf(domain)) throw refused('the token is for another domain')
      if (sub !== hashDID) throw refused('the token is for another queue')
      return jti
    },
  }
}
