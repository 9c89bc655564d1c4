/**
 * CACAO (CAIP-74): the signed statement by which an account lets an identity key speak for it.
 *
 * What is verified is a text, rebuilt from the payload; so no field may hold a line break, or one text could be read
 * as two different payloads.
 */
import * as z from '#schema'
import { utf8 } from './bytes.ts'
import { ed25519FromDid } from './did.ts'
import { ProtocolError } from './errors.ts'
import { accountOf, textsWith } from './namespaces.ts'
import { parseRecap, RECAP_PREAMBLE, recapStatement } from './recap.ts'
import { type ContractWalletCheck, hasSigned } from './signatures.ts'

/** Of a whole CACAO as JSON; real ones have one or two KiB, with a contract wallet's signature three or four. */
export const MAX_CACAO_BYTES = 8_192
const MAX_RESOURCES = 32
const MAX_LINE_CHARACTERS = 2_048

const line = z
  .string()
  .max(MAX_LINE_CHARACTERS)
  .regex(/^[^\r\n]*$/, 'it holds a line break')

export const cacaoSchema = z.object({
  h: z.object({ t: z.enum(['eip4361', 'caip122']) }),
  p: z.object({
    /** What the text calls URI: names the identity key, or the page that asks. */
    aud: line,
    domain: line,
    /** did:pkh of the signer. */
    iss: line,
    statement: line.optional(),
    version: line,
    nonce: line,
    iat: line,
    exp: line.optional(),
    nbf: line.optional(),
    requestId: line.optional(),
    resources: z.array(line).max(MAX_RESOURCES).optional(),
  }),
  s: z.object({ t: z.string(), s: z.string() }),
})

export { accountOf } from './namespaces.ts'

/** Members that are not known are dropped on parsing: keep the original text where it must be served again. */
export type Cacao = z.infer<typeof cacaoSchema>

/**
 * Reads what may be a CACAO. Its size is looked at before anything in it, because what is done with it grows with it.
 * Throws `bad_params`.
 */
export const parseCacao = (input: unknown): Cacao => {
  if (utf8(JSON.stringify(input) ?? '').length > MAX_CACAO_BYTES) {
    throw new ProtocolError('bad_params', `cacao: it has more than ${MAX_CACAO_BYTES} bytes`)
  }
  const parsed = cacaoSchema.safeParse(input)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new ProtocolError('bad_params', `cacao.${issue?.path.join('.')}: ${issue?.message}`)
}

const CLOCK_SKEW_MS = 60_000

const invalid = (detail: string): ProtocolError => new ProtocolError('identity_invalid', detail)

/**
 * The did:key of the identity key: `walletconnect_identity_key` in the query of `aud`, else `aud` itself, else the first
 * resource. Throws `identity_invalid` when the first of these that is there is not an Ed25519 did:key.
 */
export const identityKeyOf = (cacao: Cacao): string => {
  const { aud, resources } = cacao.p
  const [, query = ''] = aud.split(/[?#]/, aud.includes('?') ? 2 : 1)
  const named = new URLSearchParams(query).get('walletconnect_identity_key')
  const did = named ?? (aud.startsWith('did:key:') ? aud : (resources?.[0] ?? ''))
  try {
    ed25519FromDid(did)
  } catch {
    throw invalid('it names no identity key')
  }
  return did
}

/**
 * The statement as it was signed. Published clients put the recap's sentence into the text, whether or not the payload's
 * own statement has it. Empty when there is neither.
 */
export const signedStatement = (cacao: Cacao): string => {
  const { statement = '', resources } = cacao.p
  const recap = parseRecap(resources)
  if (!recap || statement.includes(RECAP_PREAMBLE)) return statement
  return (statement && `${statement} `) + recapStatement(recap)
}

/** The texts that may have been signed, the likeliest first. Throws `identity_invalid`. */
export const cacaoTexts = (cacao: Cacao): string[] => textsWith(cacao, signedStatement(cacao))

const timeOf = (text: string, name: string): number => {
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw invalid(`its ${name} is not a time`)
  return time
}

/** Between which instants a CACAO is good, unix ms. */
export interface CacaoDates {
  expiresAt: number | undefined
  notBefore: number | undefined
}

/** Throws `identity_invalid` for what is no time. */
export const datesOf = ({ p }: Cacao): CacaoDates => ({
  expiresAt: p.exp ? timeOf(p.exp, 'expiration time') : undefined,
  notBefore: p.nbf ? timeOf(p.nbf, 'not-before time') : undefined,
})

/** Throws `identity_invalid` unless the CACAO with these dates is good now, with 60 s of skew. */
export const checkDates = ({ expiresAt, notBefore }: CacaoDates, now: number): void => {
  if (expiresAt !== undefined && expiresAt <= now - CLOCK_SKEW_MS) throw invalid('it is expired')
  if (notBefore !== undefined && notBefore > now + CLOCK_SKEW_MS) throw invalid('it is not valid yet')
}

/**
 * Resolves when the account signed one of the texts of the CACAO. Contract wallets are asked through `verifySignature`,
 * where there is one. Throws `identity_invalid`, and what `verifySignature` throws.
 */
export const verifyCacaoSignature = async (
  cacao: Cacao,
  verifySignature?: ContractWalletCheck | undefined,
): Promise<void> => {
  const account = accountOf(cacao)
  const texts = cacaoTexts(cacao)
  if (await hasSigned({ account, texts, signature: cacao.s, verifySignature })) return
  throw invalid('the account did not sign it')
}

/** Resolves when the CACAO is good: bounds, dates and signature. Throws `identity_invalid`, and what `verifySignature` throws. */
export const verifyCacao = async (
  input: Cacao,
  { now, verifySignature }: { now: number; verifySignature?: ContractWalletCheck | undefined },
): Promise<void> => {
  // Also here: a CACAO may come from a place that did not parse it.
  let cacao: Cacao
  try {
    cacao = parseCacao(input)
  } catch {
    throw invalid('its shape is wrong')
  }
  checkDates(datesOf(cacao), now)
  await verifyCacaoSignature(cacao, verifySignature)
}
