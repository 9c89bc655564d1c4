/**
 * Whether a `vp_token` answers the question that was asked: for whoever called `/v1/credential/presentation`.
 *
 * Guarantees: what it answers was signed by a trusted issuer, is valid now, was presented by the holder whom the issuer
 * named, to this audience, for this nonce, a moment ago, with exactly these disclosures, and satisfies the query.
 */
import { SDJwtVcInstance } from '@sd-jwt/sd-jwt-vc'
import * as z from 'zod'
import { fromBase64url, toBase64url, utf8 } from '../../protocol/bytes.ts'
import { type PublicKey, publicKeyOf } from './keys.ts'
import { isSatisfiedBy, QuerySchema, queryable } from './query.ts'
import { hasher, plainClaims, type ReadSdJwt, readSdJwt } from './sd-jwt.ts'

export const PRESENTATION_REFUSALS = {
  malformed: 'It is not an SD-JWT VC presentation',
  bad_query: 'The query is not a DCQL query',
  untrusted_issuer: 'Its issuer is not a trusted one',
  bad_issuer_signature: 'Its issuer did not sign it so',
  expired: 'The credential has expired',
  not_yet_valid: 'The credential is not valid yet',
  not_bound: 'It has no key binding',
  no_holder_key: 'The credential names no key of its holder',
  bad_holder_signature: 'The holder did not sign the key binding',
  wrong_nonce: 'It answers another question: the nonce is wrong',
  wrong_audience: 'It was made for another audience',
  stale: 'The key binding is too old',
  from_the_future: 'The key binding is from the future',
  wrong_disclosures: 'The key binding was made over other disclosures',
  unsatisfied: 'It does not satisfy the query',
  status_unknown: 'Whether the credential was revoked could not be found out',
  revoked: 'The credential was revoked or suspended',
} as const

export type PresentationRefusal = keyof typeof PRESENTATION_REFUSALS

export class PresentationError extends Error {
  override readonly name = 'PresentationError'
  readonly code: PresentationRefusal
  constructor(code: PresentationRefusal, options?: ErrorOptions) {
    super(PRESENTATION_REFUSALS[code], options)
    this.code = code
  }
}

export interface PresentationExpectations {
  vpToken: string
  /** As it was sent. */
  query: unknown
  audience: string
  nonce: string
  /** Public JWKs (Ed25519, P-256) of an issuer by its `iss`; none for one that is not trusted. */
  issuerKeys: (issuer: string) => Promise<readonly unknown[]> | readonly unknown[]
  /** Unix ms. */
  now: number
  /** Of the key binding, s. Default 300. */
  maxAge?: number
  /** How far clocks may differ, s. Default 60. */
  leeway?: number
  /** Reads the status list token that a credential names. Without it a credential that has a status is refused. */
  statusList?: (url: string) => Promise<string>
}

export interface VerifiedPresentation {
  issuer: string
  /** Type of the credential. */
  vct: string
  /** What was disclosed, and what the issuer left in the clear. */
  claims: Record<string, unknown>
  /** JWK. */
  holder: unknown
  /** When the holder presented it, unix s. */
  presentedAt: number
}

/** No credential of ours is longer; reading one costs time. */
const MAX_PRESENTATION_LENGTH = 512 * 1024

const time = z.number().nonnegative().optional()
const Payload = z.looseObject({
  iss: z.string(),
  vct: z.string(),
  iat: time,
  nbf: time,
  exp: time,
  status: z.unknown().optional(),
})
const Header = z.looseObject({
  typ: z.enum(['dc+sd-jwt', 'vc+sd-jwt']),
  alg: z.string(),
  kid: z.string().optional(),
  // RFC 7515 §4.1.11: an extension that is not known here.
  crit: z.undefined().optional(),
})
const KbHeader = z.looseObject({
  typ: z.literal('kb+jwt'),
  alg: z.string(),
  crit: z.undefined().optional(),
})
const KbPayload = z.looseObject({
  aud: z.string(),
  nonce: z.string(),
  iat: z.number().nonnegative(),
  sd_hash: z.string(),
})
/** The one way to tell a status that the library knows; any other it would pass over. */
const StatusList = z.object({ status_list: z.looseObject({ idx: z.int().nonnegative(), uri: z.url() }) })
const Claims = z.record(z.string(), z.unknown())

const refuse = (code: PresentationRefusal): never => {
  throw new PresentationError(code)
}

/** Whatever cannot be read is malformed; what was refused inside says so itself. */
const readable = async <T>(read: () => T | Promise<T>): Promise<T> => {
  try {
    return await read()
  } catch (cause) {
    throw cause instanceof PresentationError ? cause : new PresentationError('malformed', { cause })
  }
}

const isSignedBy = (key: PublicKey, alg: string, input: string, signature: string): boolean => {
  try {
    return key.alg === alg && key.verify(fromBase64url(signature), utf8(input))
  } catch {
    return false
  }
}
const isJwtOf = (key: PublicKey, alg: string, jwt: string): boolean => {
  const at = jwt.lastIndexOf('.')
  return isSignedBy(key, alg, jwt.slice(0, at), jwt.slice(at + 1))
}

const checkBinding = (
  read: ReadSdJwt,
  vpToken: string,
  { audience, nonce, now, maxAge = 300, leeway = 60 }: PresentationExpectations,
): { holder: unknown; presentedAt: number } => {
  const { kbJwt } = read.sdJwt
  if (!kbJwt) return refuse('not_bound')
  const header = KbHeader.parse(kbJwt.header)
  const binding = KbPayload.parse(kbJwt.payload)
  const cnf = read.root.members?.get('cnf')?.members?.get('jwk')
  const holder = cnf && plainClaims(cnf)
  const key = publicKeyOf(holder)
  if (!key) return refuse('no_holder_key')
  const at = vpToken.lastIndexOf('~') + 1
  if (!isJwtOf(key, header.alg, vpToken.slice(at))) refuse('bad_holder_signature')
  if (binding.nonce !== nonce) refuse('wrong_nonce')
  if (binding.aud !== audience) refuse('wrong_audience')
  const age = now / 1000 - binding.iat
  if (age > maxAge + leeway) refuse('stale')
  if (age < -leeway) refuse('from_the_future')
  const sdAlg = typeof read.payload._sd_alg === 'string' ? read.payload._sd_alg : 'sha-256'
  if (binding.sd_hash !== toBase64url(hasher(vpToken.slice(0, at), sdAlg))) refuse('wrong_disclosures')
  return { holder, presentedAt: binding.iat }
}

/**
 * Verifies the answer to `/v1/credential/presentation`.
 *
 * @param expected the answer, the question, and the keys of trusted issuers
 * @returns the issuer, and the claims that were disclosed
 * @throws `PresentationError` with the first thing that is wrong
 */
export const verifyPresentation = (expected: PresentationExpectations): Promise<VerifiedPresentation> =>
  readable(async () => {
    const { vpToken, now, leeway = 60, nonce, statusList } = expected
    if (typeof vpToken !== 'string' || vpToken.length > MAX_PRESENTATION_LENGTH) refuse('malformed')
    const query = QuerySchema.safeParse(expected.query)
    if (!query.success) return refuse('bad_query')

    const read = await readSdJwt(vpToken)
    const header = Header.parse(read.header)
    const payload = Payload.parse(read.payload)
    const keys = (await expected.issuerKeys(payload.iss)).flatMap((jwk) => publicKeyOf(jwk) ?? [])
    if (keys.length === 0) refuse('untrusted_issuer')
    // A `kid` only narrows the choice among the keys that are trusted anyway.
    const named = keys.filter(({ kid }) => kid !== undefined && kid === header.kid)
    const candidates = named.length > 0 ? named : keys
    const issuerSigned = (input: string, signature: string, alg: string) =>
      candidates.some((key) => isSignedBy(key, alg, input, signature))
    const [jwt = ''] = vpToken.split('~', 1)
    if (!candidates.some((key) => isJwtOf(key, header.alg, jwt))) refuse('bad_issuer_signature')

    const seconds = now / 1000
    if (payload.exp !== undefined && payload.exp + leeway <= seconds) refuse('expired')
    const start = Math.max(payload.nbf ?? 0, payload.iat ?? 0)
    if (start > seconds + leeway) refuse('not_yet_valid')
    const { holder, presentedAt } = checkBinding(read, vpToken, expected)
    // An honest holder never sends them; who does has something to hide there.
    if (read.unreferenced > 0) refuse('malformed')
    const asDcql = queryable(read)
    if (!asDcql || !isSatisfiedBy(query.data, asDcql)) refuse('unsatisfied')
    const { status } = payload
    if (status !== undefined && !(statusList && StatusList.safeParse(status).success))
      refuse('status_unknown')

    // The published library looks at all of it once more, and at the status list.
    const library = new SDJwtVcInstance({
      hasher,
      verifier: async (input, signature) => issuerSigned(input, signature, header.alg),
      kbVerifier: async () => true,
      statusListFetcher: async (url) => (await statusList?.(url)) ?? refuse('status_unknown'),
      statusVerifier: async (input, signature) => issuerSigned(input, signature, algOf(input)),
      statusValidator: async (status) => {
        if (status !== 0) refuse('revoked')
      },
    })
    try {
      await library.verify(vpToken, {
        currentDate: Math.floor(seconds),
        skewSeconds: leeway,
        keyBindingNonce: nonce,
      })
    } catch (cause) {
      if (cause instanceof PresentationError) throw cause
      // What it has to say beyond what was looked at above is about the list.
      throw new PresentationError(status === undefined ? 'malformed' : 'status_unknown', { cause })
    }
    const claims = Claims.parse(plainClaims(read.root))
    return { issuer: payload.iss, vct: payload.vct, claims, holder, presentedAt }
  })

const algOf = (input: string): string => {
  const header: unknown = JSON.parse(new TextDecoder().decode(fromBase64url(input.split('.', 1)[0] ?? '')))
  return z.looseObject({ alg: z.string() }).parse(header).alg
}
