/**
 * DCQL (OpenID4VP 1.0 §6) over credentials of which one is presented: which credential satisfies the query by itself, and
 * which claims of it that takes.
 */
import { DcqlCredential, DcqlPresentationResult, DcqlQuery } from 'dcql'
import * as z from 'zod'
import { type ClaimPath, plainClaims, type ReadSdJwt } from './sd-jwt.ts'

/** A query is read by a parser that recurses over it. */
const MAX_QUERY_LENGTH = 64 * 1024
const MAX_PATH_DEPTH = 32

export type CredentialQuery = DcqlQuery.Output

export const QuerySchema = z.custom<DcqlQuery.Input>().transform((given, context): CredentialQuery => {
  try {
    if (JSON.stringify(given).length > MAX_QUERY_LENGTH) throw new Error('too long')
    const query = DcqlQuery.parse(given)
    DcqlQuery.validate(query)
    for (const { claims } of query.credentials) {
      for (const claim of claims ?? []) {
        if ('path' in claim && claim.path.length > MAX_PATH_DEPTH) throw new Error('too deep')
      }
    }
    return query
  } catch {
    context.addIssue({ code: 'custom', message: 'not a DCQL query' })
    return z.NEVER
  }
})

/** What of the tree DCQL looks at; undefined for what is no bound SD-JWT VC. */
export const queryable = ({ header, root }: ReadSdJwt): DcqlCredential | undefined => {
  const claims = plainClaims(root)
  const vct = root.members?.get('vct')?.value
  const parsed = DcqlCredential.model.safeParse({
    credential_format: header.typ,
    vct,
    claims,
    cryptographic_holder_binding: root.members?.get('cnf')?.members?.has('jwk') === true,
  })
  return parsed.success ? parsed.output : undefined
}

/** The queries whose answer is, by itself, an answer to all that is asked for. */
const sufficient = ({ credentials, credential_sets }: CredentialQuery): string[] => {
  const ids = credentials.map(({ id }) => id)
  if (!credential_sets) return ids.length === 1 ? ids : []
  const answers = (id: string, options: readonly (readonly string[])[]) =>
    options.some((option) => option.every((one) => one === id))
  const required = credential_sets.filter((set) => set.required)
  return required.length === 0
    ? ids.filter((id) => credential_sets.some(({ options }) => answers(id, options)))
    : ids.filter((id) => required.every(({ options }) => answers(id, options)))
}

export interface AskedClaim {
  path: ClaimPath
  values: readonly unknown[] | undefined
}

export interface QueryMatch {
  /** Its place among the credentials. */
  index: number
  /** What of it is asked for. Of several sets of claims the first that can be satisfied, as DCQL prefers. */
  asked: AskedClaim[]
}

/** Credentials that answer the query alone, each once. */
export const matchesOf = (query: CredentialQuery, credentials: readonly DcqlCredential[]): QueryMatch[] => {
  if (credentials.length === 0) return []
  const { credential_matches } = DcqlQuery.query(query, [...credentials])
  const found = new Map<number, QueryMatch>()
  for (const id of sufficient(query)) {
    const claims = query.credentials.find((one) => one.id === id)?.claims ?? []
    for (const { input_credential_index: index, claims: result } of credential_matches[id]
      ?.valid_credentials ?? []) {
      const [first] = result.valid_claim_sets ?? []
      const asked = (first?.valid_claim_indexes ?? []).flatMap((at) => {
        const claim = claims[at]
        return claim && 'path' in claim ? [{ path: claim.path, values: claim.values }] : []
      })
      if (!found.has(index)) found.set(index, { index, asked })
    }
  }
  return [...found.values()]
}

/** Whether what was presented answers the query, for whoever asked it. */
export const isSatisfiedBy = (query: CredentialQuery, presented: DcqlCredential): boolean =>
  sufficient(query).some((id) => {
    const { credential_matches } = DcqlPresentationResult.fromDcqlPresentation(
      { [id]: [presented] },
      { dcqlQuery: query },
    )
    return credential_matches[id]?.success === true
  })
