/**
 * `/v1/auth/pk`: the wallet shows that it has an Ed25519 key, by signing a challenge for who asked.
 *
 *     {origin, b64Challenge, pkFormat?: 'did' | 'cmts', sigFormat?: 'jws'} → {pk, signature}
 *
 * `pk` is `SIG:ED25519:PK{hex}` or a `did:jwk`; `signature` a compact JWS whose header is exactly `{"alg":"EdDSA"}` and
 * whose payload is `{sub: the challenge as received, iss: pk, aud: origin, iat, exp: iat + 60}`, in seconds.
 */
import * as z from 'zod'
import { crypto } from '#crypto'
import { fromBase64url, fromHex, fromUtf8, toBase64url, toHex, utf8 } from '../../protocol/bytes.ts'
import { didJwk, jwkFromDid } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import type { SessionMethod } from '../wallet/method.ts'

export const AUTH_PK = '/v1/auth/pk'

const TOKEN_LIFETIME_S = 60
const MAX_CHALLENGE_LENGTH = 8_192

const isBase64 = (text: string): boolean => {
  try {
    return fromBase64url(text).length > 0
  } catch {
    return false
  }
}

const authParams = z.object({
  origin: z.string().min(1).max(2_048),
  b64Challenge: z.string().min(1).max(MAX_CHALLENGE_LENGTH).refine(isBase64),
  pkFormat: z.enum(['did', 'cmts']).default('cmts'),
  sigFormat: z.literal('jws').default('jws'),
})
const authResult = z.object({
  pk: z.string().max(MAX_CHALLENGE_LENGTH),
  signature: z.string().max(4 * MAX_CHALLENGE_LENGTH),
})

export type AuthPkResult = z.infer<typeof authResult>

// Exactly this spelling: members sorted, so that one key has one name.
const didOf = (publicKey: Uint8Array): string =>
  didJwk({ crv: 'Ed25519', kty: 'OKP', x: toBase64url(publicKey) })
const carmentisOf = (publicKey: Uint8Array): string => `SIG:ED25519:PK{${toHex(publicKey)}}`

const CARMENTIS = /^SIG:ED25519:PK\{([0-9a-f]{64})\}$/
const jwkSchema = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().length(43) })

/** Throws `bad_params` for what is not the name of an Ed25519 key. */
const publicKeyNamed = (pk: string): Uint8Array => {
  const [, hex] = CARMENTIS.exec(pk) ?? []
  if (hex !== undefined) return fromHex(hex)
  const jwk = jwkSchema.safeParse(jwkFromDid(pk))
  const publicKey = jwk.success ? fromBase64url(jwk.data.x) : undefined
  if (publicKey?.length === 32) return publicKey
  throw new ProtocolError('bad_params', 'it names no Ed25519 key')
}

/** Signed here, not by jose: a wallet may run in a browser whose WebCrypto has no Ed25519, or where there is none at all. */
const HEADER = toBase64url(utf8(JSON.stringify({ alg: 'EdDSA' })))

/**
 * The method `/v1/auth/pk` of a wallet.
 *
 * @param key the wallet's key
 * @returns the method, for `walletSession`
 */
export const authPk = (key: SigningKey): SessionMethod<z.infer<typeof authParams>, AuthPkResult> => ({
  schema: authParams,
  approval: 'first',
  async handler({ origin, b64Challenge, pkFormat }, { now }) {
    const pk = pkFormat === 'did' ? didOf(key.publicKey) : carmentisOf(key.publicKey)
    const iat = Math.floor(now() / 1000)
    const claims = { sub: b64Challenge, iss: pk, aud: origin, iat, exp: iat + TOKEN_LIFETIME_S }
    const input = `${HEADER}.${toBase64url(utf8(JSON.stringify(claims)))}`
    return { pk, signature: `${input}.${toBase64url(crypto.ed25519Sign(utf8(input), key.seed))}` }
  },
})

const headerSchema = z.strictObject({ alg: z.literal('EdDSA') })
const claimsSchema = z.strictObject({
  sub: z.string(),
  iss: z.string(),
  aud: z.string(),
  iat: z.number().int().nonnegative(),
  exp: z.number().int().nonnegative(),
})

export interface AuthPkExpected {
  origin: string
  /** As it was sent, and never before. */
  b64Challenge: string
  /** Unix ms. */
  now: number
  /** Seconds that clocks may differ; default 30. */
  leeway?: number
}

const part = <T>(text: string, schema: z.ZodType<T>, name: string): T => {
  try {
    return schema.parse(JSON.parse(fromUtf8(fromBase64url(text))))
  } catch {
    throw new ProtocolError('jwt_invalid', `its ${name} is not what was asked for`)
  }
}

/**
 * Verifies the answer to `/v1/auth/pk`. The caller checks that it knows the key, and that the challenge is one that it gave
 * out and that was not used before.
 *
 * @param result what the wallet answered
 * @param expected who asked, with which challenge, and the time
 * @returns the key that signed, and its name
 * @throws `ProtocolError`: `bad_params` for no such answer, `jwt_invalid` for a wrong signature, header, challenge or key name,
 *   `jwt_wrong_audience`, `jwt_expired`
 */
export const verifyAuthPk = (
  result: unknown,
  { origin, b64Challenge, now, leeway = 30 }: AuthPkExpected,
): { pk: string; publicKey: Uint8Array } => {
  const parsed = authResult.safeParse(result)
  if (!parsed.success) throw new ProtocolError('bad_params', 'it is no answer to this method')
  const { pk, signature } = parsed.data
  const publicKey = publicKeyNamed(pk)
  const [header = '', payload = '', signed = '', more] = signature.split('.', 4)
  if (more !== undefined) throw new ProtocolError('jwt_invalid', 'it has not three parts')
  part(header, headerSchema, 'header')
  const claims = part(payload, claimsSchema, 'payload')
  let bytes: Uint8Array
  try {
    bytes = fromBase64url(signed)
  } catch {
    throw new ProtocolError('jwt_invalid', 'its signature is not base64url')
  }
  if (!crypto.ed25519Verify(bytes, utf8(`${header}.${payload}`), publicKey)) {
    throw new ProtocolError('jwt_invalid', 'the signature is wrong')
  }
  if (claims.iss !== pk) throw new ProtocolError('jwt_invalid', 'another key is named')
  if (claims.sub !== b64Challenge) throw new ProtocolError('jwt_invalid', 'another challenge was signed')
  if (claims.aud !== origin) throw new ProtocolError('jwt_wrong_audience')
  const seconds = now / 1000
  if (claims.exp !== claims.iat + TOKEN_LIFETIME_S)
    throw new ProtocolError('jwt_invalid', 'its life is not a minute')
  if (claims.iat > seconds + leeway || claims.exp <= seconds - leeway) throw new ProtocolError('jwt_expired')
  return { pk, publicKey }
}
