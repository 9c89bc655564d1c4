/** Registers and revokes an identity key: what its account and the key itself signed, and what the registry has of it already. */
import type { Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { invariant } from '../platform/invariant.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { DAY_MS } from '../platform/units.ts'
import { accountOf, type Cacao, cacaoTexts, identityKeyOf, parseCacao } from '../protocol/cacao.ts'
import { accountKey } from '../protocol/caip.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { ERASED, IDENTITY_LIFE_MS, type KeysStore, REVOKED_LIFE_MS } from './store.ts'
import { accountIn, isProvenBy, type ReadToken } from './tokens.ts'

/** How far ahead of ours a clock may be that signs a key anew. */
const MAX_CLOCK_SKEW_MS = 300_000

/** An older CACAO is not registered any more: whether it was revoked need not be remembered for ever. */
const isRecent = ({ p }: Cacao, now: number): boolean => {
  const signedAt = Date.parse(p.iat)
  return signedAt > now - IDENTITY_LIFE_MS && signedAt < now + DAY_MS
}

/** A date that cannot be read, or that lies ahead, is not later than anything. */
const isSignedSince = (instant: number, { p }: Cacao, now: number): boolean => {
  const signedAt = Date.parse(p.iat)
  return signedAt > instant && signedAt <= now + MAX_CLOCK_SKEW_MS
}

/** Each of the texts that may have been signed takes a signature to compare; a contract wallet is asked about it. */
export const signatureCost = (cacao: Cacao): number =>
  cacaoTexts(cacao).length *
  (cacao.s.t === 'eip191' ? WORK_COST.signature : WORK_COST.signature + WORK_COST.lookUp)

export interface RegisterDeps {
  store: KeysStore
  clock: Clock
  readToken: ReadToken
  verify: (cacao: Cacao) => Promise<void>
  /** Records that the key is in use. */
  used: (identityKey: string) => Promise<void>
  /** Runs one task of a key after the other. */
  serially: (identityKey: string, task: () => Promise<void>) => Promise<void>
}

/** A CACAO that was verified. */
interface Verified {
  cacao: Cacao
  identityKey: string
  /** CAIP-10, as it is written, and its `accountKey`. */
  account: string
  key: string
  /** The CACAO exactly as it came. */
  text: string
  /** The key itself signed that it is the account's. */
  isProvenNow: boolean
}

const storeVerified = async (
  { store, clock, used }: RegisterDeps,
  verified: Verified,
  payer: Payer,
): Promise<void> => {
  const { cacao, identityKey, account, key, text, isProvenNow } = verified
  const [known, erased, current] = await Promise.all([
    store.identity(identityKey, key),
    store.identity(identityKey, ERASED),
    store.identity(identityKey),
  ])
  for (const one of [known, erased]) {
    if (one?.revokedAt !== undefined && !isSignedSince(one.revokedAt, cacao, clock.now())) {
      throw new ProtocolError('identity_invalid', 'the key was revoked after this was signed')
    }
  }
  const isProven = isProvenNow || (known?.revokedAt === undefined && known?.isProven === true)
  // Others may have claimed the key: the account that proves that it is its own is the key's default.
  const isDefault = isProven && (current?.isProven !== true || current.accountKey === key)
  if (known?.cacao === text && known.isProven === (isProven || undefined)) return used(identityKey)
  if (!isRecent(cacao, clock.now())) {
    throw new ProtocolError('identity_invalid', 'it was signed a year ago, or its date is wrong')
  }
  invariant(text !== '', 'a CACAO that is registered has a text')
  await payer.keep(text.length + account.length, IDENTITY_LIFE_MS)
  // First, so that no entry is ever stored without an end.
  await store.prolong(identityKey, clock.now() + IDENTITY_LIFE_MS)
  await store.registerIdentity({
    ...{ identityKey, accountKey: key, account, cacao: text },
    ...(isProven && { isProven }),
    ...(isDefault && { isDefault }),
  })
}

/** Returns the did:key. The work is charged before anything is verified. */
export const registerIdentity = async (
  deps: RegisterDeps,
  input: unknown,
  payer: Payer,
  idAuth: string | undefined,
): Promise<string> => {
  const cacao = parseCacao(input)
  const identityKey = identityKeyOf(cacao)
  const account = accountOf(cacao)
  const key = accountKey(account)
  await payer.work(signatureCost(cacao) + (idAuth === undefined ? 0 : WORK_COST.token))
  const isProvenNow = isProvenBy(deps.readToken, idAuth, identityKey, key)
  await deps.verify(cacao)
  const text = JSON.stringify(input)
  const verified = { cacao, identityKey, account: account.text, key, text, isProvenNow }
  await deps.serially(identityKey, () => storeVerified(deps, verified, payer))
  return identityKey
}

/**
 * Idempotent. The entry stays, without its CACAO, for as long as that CACAO could still be registered. A key that was never
 * registered here is done, too: a client that comes from another key server forgets its key only then, and can register anew.
 */
export const unregisterIdentity = async (
  { store, clock, readToken, serially }: RegisterDeps,
  idAuth: string,
): Promise<void> => {
  const claims = readToken(idAuth, 'unregister_identity')
  await serially(claims.iss, async () => {
    const { key } = accountIn(claims)
    const known = await store.identity(claims.iss, key)
    // An erased key is revoked, and its account is not known any more.
    if (!known && (await store.identity(claims.iss, ERASED))) return
    if (!known && !(await store.identity(claims.iss))) return
    if (!known) throw new ProtocolError('account_mismatch')
    // Asked again because the first answer got lost: it is done.
    if (known.revokedAt !== undefined) return
    await store.prolong(claims.iss, clock.now() + REVOKED_LIFE_MS)
    await store.unregisterIdentity(claims.iss, key)
    await store.registerIdentity({ ...known, cacao: '', revokedAt: clock.now() })
  })
}
