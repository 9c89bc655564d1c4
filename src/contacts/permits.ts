/**
 * What a change of installations is allowed by: an ERC-1056 signature of the account over its next nonce, or a token of a
 * key that speaks for it. A permit comes with the ticket that the change spends, so each works once.
 */
import type { Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { invariant } from '../platform/invariant.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { toHex } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { accountHash, type Holder, holderOf } from './account-key.ts'
import { type Attribute, readAttribute } from './attribute.ts'
import { digestSignedBy, type EcdsaSignature } from './erc1056.ts'
import type { Act } from './grant-jwt.ts'
import { MAX_VALIDITY_S } from './limits.ts'
import type { SpeaksFor } from './speaks-for.ts'
import { type ContactsStore, NONCE_LIFE_MS, type Ticket } from './store.ts'
import { verifyGrantJwt } from './verify-grant.ts'

/** What a change is asked for by. With a token it names the installation itself. */
export type Authority =
  | { kind: 'signature'; signature: EcdsaSignature; attribute: Attribute; validity: number }
  | { kind: 'jwt'; jwt: string; attribute?: Attribute | undefined }

const ACTS: Record<'set' | 'revoke', Act> = { set: 'grant_installation', revoke: 'revoke_installation' }
/** Reasons that are not the caller's fault, or that it can do something about. */
const SHOWN_CODES = new Set(['unavailable', 'rate_limited', 'store_full', 'internal', 'bad_params'])

export interface Permit {
  ticket: Ticket
  attribute: Attribute
  validity: number
  /** What was signed, hex with 0x; undefined for a token. */
  digest: string | undefined
}

/** Throws `forbidden` whatever is wrong with the authority: a stranger learns nothing. Our own failures are thrown as they are. */
export type PermitOf = (
  act: 'set' | 'revoke',
  holder: Holder,
  authority: Authority,
  payer: Payer,
) => Promise<Permit>

/** More changes than an account can make until its nonce is forgotten. */
const NONCES_PER_LIFE = 2 ** 32
/**
 * The nonce of an account that has none: it rises once in a life, so that what was signed before an account was forgotten
 * is never good again.
 */
const firstNonceAt = (now: number): number => Math.floor(now / NONCE_LIFE_MS) * NONCES_PER_LIFE

/** The ticket of the next ERC-1056 signature of an account. */
export const nextNonce = async (
  { store, clock }: { store: Pick<ContactsStore, 'nonce'>; clock: Clock },
  { key }: Holder,
): Promise<Extract<Ticket, { kind: 'nonce' }>> => {
  const now = clock.now()
  const first = firstNonceAt(now)
  const nonce = (await store.nonce(accountHash(key))) ?? first
  invariant(Number.isSafeInteger(nonce) && nonce >= 0, 'the nonce of an account is a count')
  return { kind: 'nonce', nonce, first, until: now + NONCE_LIFE_MS }
}

/** A token may name the account by another DID than the request that it comes with. */
const isNameOf = (did: string, holder: Holder): boolean => {
  try {
    return holderOf(did).key === holder.key
  } catch {
    return false
  }
}

const isSame = (a: Attribute, b: Attribute): boolean => a.name === b.name && toHex(a.value) === toHex(b.value)

export const createPermits = (
  deps: { store: Pick<ContactsStore, 'nonce'>; speaksFor: SpeaksFor; clock: Clock; log: Log },
  { registry, isOwnDid }: { registry: string; isOwnDid: (did: string) => boolean },
): PermitOf => {
  const { speaksFor, clock, log } = deps

  const byJwt = async (
    act: 'set' | 'revoke',
    holder: Holder,
    { jwt, attribute: asked }: Extract<Authority, { kind: 'jwt' }>,
    payer: Payer,
  ): Promise<Permit> => {
    await payer.work(WORK_COST.token)
    const { claims, ticket } = await verifyGrantJwt(jwt, { now: clock.now(), act: ACTS[act], isOwnDid })
    if (!isNameOf(claims.sub, holder)) throw new ProtocolError('account_mismatch')
    const attribute = readAttribute(claims.name, claims.value)
    if (asked && !isSame(asked, attribute)) throw new ProtocolError('forbidden', 'it is for another one')
    if (!(await speaksFor(claims.iss, holder, payer))) throw new ProtocolError('account_mismatch')
    return { ticket, attribute, validity: claims.validity ?? MAX_VALIDITY_S, digest: undefined }
  }

  const bySignature = async (
    act: 'set' | 'revoke',
    holder: Holder,
    { signature, attribute, validity }: Extract<Authority, { kind: 'signature' }>,
    payer: Payer,
  ): Promise<Permit> => {
    if (holder.kind !== 'account' || holder.address === undefined) throw new ProtocolError('forbidden')
    await payer.work(WORK_COST.signature)
    // Read after the wait: another change may have used it meanwhile.
    const ticket = await nextNonce(deps, holder)
    const by = { registry, nonce: ticket.nonce, identity: holder.address }
    const digest = digestSignedBy({ act, ...attribute, validity }, by, signature)
    if (!digest) throw new ProtocolError('forbidden', 'the account did not sign it')
    return { ticket, attribute, validity, digest: `0x${toHex(digest)}` }
  }

  return async (act, holder, authority, payer) => {
    try {
      return authority.kind === 'jwt'
        ? await byJwt(act, holder, authority, payer)
        : await bySignature(act, holder, authority, payer)
    } catch (err) {
      if (!(err instanceof ProtocolError) || SHOWN_CODES.has(err.code)) throw err
      log.debug({ code: err.code, act, holder: holder.kind }, 'A change of installations was not allowed')
      throw new ProtocolError('forbidden', undefined, { cause: err })
    }
  }
}
