/** VAPID (RFC 8292): who we are for push services, a P-256 key that is made once for the server. */
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'
import * as z from 'zod'
import { createBoundedMap } from '../../platform/concurrency/bounded-map.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { HOUR_MS } from '../../platform/units.ts'

const Key = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  d: z.string(),
})

/** A day at most; a push service may say less. */
const TOKEN_LIFE_MS = 12 * HOUR_MS
const RENEW_BEFORE_MS = HOUR_MS
const MAX_ORIGINS = 1_000

/** A new key, as text that is to be sealed. */
export const newVapidKey = async (): Promise<string> => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  return JSON.stringify(await exportJWK(privateKey))
}

export interface Vapid {
  /** What `pushManager.subscribe` takes as `applicationServerKey`: the uncompressed point, base64url. */
  readonly publicKey: string
  /** The Authorization header for a push service. */
  authorization(endpoint: string): Promise<string>
}

/** `contact`: an https or mailto URL by which a push service reaches the operator. */
export const createVapid = (
  { clock }: { clock: Pick<Clock, 'now'> },
  { key, contact }: { key: string; contact: string },
): Vapid => {
  const jwk: JWK = Key.parse(JSON.parse(key))
  const point = [jwk.x, jwk.y].map((part) => Buffer.from(part ?? '', 'base64url'))
  const publicKey = Buffer.concat([Buffer.from([4]), ...point]).toString('base64url')
  const imported = importJWK(jwk, 'ES256')
  const tokens = createBoundedMap<{ token: Promise<string>; until: number }>(MAX_ORIGINS)

  const sign = async (origin: string, until: number): Promise<string> =>
    new SignJWT({ sub: contact })
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT' })
      .setAudience(origin)
      .setExpirationTime(Math.floor(until / 1000))
      .sign(await imported)

  return {
    publicKey,
    async authorization(endpoint) {
      const { origin } = new URL(endpoint)
      const now = clock.now()
      let known = tokens.get(origin)
      if (!known || known.until - RENEW_BEFORE_MS < now) {
        const until = now + TOKEN_LIFE_MS
        known = { token: sign(origin, until), until }
        tokens.put(origin, known)
      }
      return `vapid t=${await known.token}, k=${publicKey}`
    },
  }
}
