/**
 * `/v1/credential/presentation`: shows a verifier one SD-JWT VC of the wallet, bound to its question.
 *
 * | parameter  | what                                                               |
 * |------------|--------------------------------------------------------------------|
 * | `audience` | who asks; becomes `aud` of the key binding                          |
 * | `nonce`    | becomes `nonce` of the key binding                                  |
 * | `query`    | DCQL; one credential must satisfy it by itself                      |
 *
 * Answers `{vp_token}`: the credential with the disclosures that were asked for, and no others, and a key-binding JWT.
 * What the issuer left in the clear is seen by every verifier: the person is shown all claims that this one will see.
 * Without a credential that satisfies the query: −32001.
 */
import { KBJwt, SDJwt } from '@sd-jwt/core'
import * as z from 'zod'
import { fromBase64url, toBase64url, utf8 } from '../../protocol/bytes.ts'
import { type HolderKey, publicKeyOf } from '../credentials/keys.ts'
import { type AskedClaim, matchesOf, QuerySchema, queryable } from '../credentials/query.ts'
import {
  claimsAt,
  disclosuresOf,
  hasher,
  plainClaims,
  type ReadSdJwt,
  readSdJwt,
} from '../credentials/sd-jwt.ts'
import { type MethodContext, SessionError, type SessionMethod } from '../wallet/method.ts'

export const CREDENTIAL_PRESENTATION = '/v1/credential/presentation'

/** A credential in the wallet. */
export interface HeldCredential {
  /** Unique among those of the wallet. */
  id: string
  /** What the person knows it by. */
  label: string
  /** As the issuer gave it, with all disclosures. */
  sdJwt: string
  /** Of the key that the credential names in `cnf`. */
  holderKey: HolderKey
}

export interface CredentialPresentationDeps {
  credentials: () => Promise<readonly HeldCredential[]>
}

const Params = z.object({
  audience: z.string().min(1).max(2048),
  nonce: z.string().min(1).max(1024),
  query: QuerySchema,
})
export type CredentialPresentationParams = z.output<typeof Params>

interface Candidate {
  held: HeldCredential
  read: ReadSdJwt
}

/** A credential that cannot be read, is not valid now, or is not bound to a key has nothing to offer. */
const usable = async (held: HeldCredential, now: number): Promise<Candidate | undefined> => {
  try {
    const read = await readSdJwt(held.sdJwt)
    const { exp, nbf, cnf } = read.payload
    const isLate = typeof exp === 'number' && exp * 1000 <= now
    const isEarly = typeof nbf === 'number' && nbf * 1000 > now
    if (isLate || isEarly || cnf === undefined) return undefined
    return { held, read }
  } catch {
    return undefined
  }
}

const selected = ({ disclosures, root }: ReadSdJwt, asked: readonly AskedClaim[]) => {
  const needed = new Set(
    asked.flatMap(({ path, values }) => claimsAt(root, path, values).flatMap(disclosuresOf)),
  )
  return disclosures.filter((one) => needed.has(one))
}

const bind = async (
  { held, read }: Candidate,
  presented: string,
  claims: { aud: string; nonce: string; iat: number },
): Promise<string> => {
  const { alg, sign } = held.holderKey
  const sdAlg = typeof read.payload._sd_alg === 'string' ? read.payload._sd_alg : 'sha-256'
  const kb = new KBJwt({
    header: { typ: 'kb+jwt', alg },
    payload: { ...claims, sd_hash: toBase64url(hasher(presented, sdAlg)) },
  })
  const jwt = await kb.sign(async (input) => toBase64url(await sign(utf8(input))))
  const named = publicKeyOf(plainOf(read, 'cnf', 'jwk'))
  const at = jwt.lastIndexOf('.')
  // A wallet that mixes up its keys learns it here, not from every verifier.
  if (named?.alg !== alg || !named.verify(fromBase64url(jwt.slice(at + 1)), utf8(jwt.slice(0, at)))) {
    throw new Error('The holder key is not the one that the credential names')
  }
  return presented + jwt
}

const plainOf = ({ root }: ReadSdJwt, ...path: string[]): unknown => {
  const [claim] = claimsAt(root, path)
  return claim && plainClaims(claim)
}

/**
 * The method `/v1/credential/presentation` of a wallet.
 *
 * @param deps the wallet's credentials
 * @returns the method, for `walletSession`
 */
export const credentialPresentation = ({
  credentials,
}: CredentialPresentationDeps): SessionMethod<CredentialPresentationParams, { vp_token: string }> => ({
  schema: Params,
  approval: 'handler',
  async handler({ audience, nonce, query }, context: MethodContext) {
    const now = context.now()
    const candidates = await Promise.all((await credentials()).map((held) => usable(held, now)))
    const offered = candidates.flatMap((candidate) => {
      const asDcql = candidate && queryable(candidate.read)
      return asDcql ? [{ ...candidate, asDcql }] : []
    })
    const matches = matchesOf(
      query,
      offered.map(({ asDcql }) => asDcql),
    )
    const choices = matches.flatMap(({ index, asked }) => {
      const candidate = offered[index]
      if (!candidate) return []
      const { held, read } = candidate
      const disclosures = selected(read, asked)
      const claims = plainClaims(read.root, new Set(disclosures))
      const details = { audience, credential: held.label, asked: asked.map(({ path }) => path), claims }
      return [{ id: held.id, label: held.label, details, candidate, disclosures }]
    })
    const [first] = choices
    if (!first) throw new SessionError('nothing_matches')

    const choice = await context.approve(
      choices.length === 1
        ? { details: first.details }
        : {
            details: { audience },
            choices: choices.map(({ id, label, details }) => ({ id, label, details })),
          },
    )
    const { candidate, disclosures } = choices.find(({ id }) => id === choice) ?? first
    const { jwt } = candidate.read.sdJwt
    if (!jwt) throw new SessionError('internal')
    const presented = new SDJwt({ jwt, disclosures }).encodeSDJwt()
    const iat = Math.floor(context.now() / 1000)
    return { vp_token: await bind(candidate, presented, { aud: audience, nonce, iat }) }
  },
})
