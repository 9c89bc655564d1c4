/**
 * The registry of installations: what a sender must encrypt to, device by device, to reach an account.
 *
 * | use case      | who may                                                                          |
 * |---------------|----------------------------------------------------------------------------------|
 * | installations | anybody: all of it is public                                                     |
 * | nonce         | anybody                                                                          |
 * | grant, revoke | the account: by an ERC-1056 signature (`erc1056`), or a key that speaks for it (`grant-jwt`) |
 *
 * Guarantees: whoever is answered has it on disk; a nonce and a token work once, whatever comes at the same time and to
 * whichever process; so what was revoked comes back only if its account grants it anew. What has expired is not there,
 * swept or not. A granted one that is granted again keeps its place and lives on to the new expiry.
 *
 * | holder         | keys that speak for it (EdDSA)                                       | signs ERC-1056 |
 * |----------------|----------------------------------------------------------------------|----------------|
 * | account        | identity keys that the key registry has for it, on whatever chain    | if of Ethereum |
 * | did:key        | itself                                                               | no             |
 * | did:web        | those that its did document lists for authentication, read from https | no             |
 */

import { HOUSE, type Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { createTtlCache } from '../platform/concurrency/ttl-cache.ts'
import type { PublicFetch } from '../platform/net/public-fetch.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { fromBase64url, toBase64url, toHex } from '../protocol/bytes.ts'
import { accountOf, type Cacao, identityKeyOf, verifyCacao } from '../protocol/cacao.ts'
import { accountKey } from '../protocol/caip.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { ContractWalletCheck } from '../protocol/signatures.ts'
import { accountHash, type Holder, holderOf } from './account-key.ts'
import { type Attribute, readAttribute } from './attribute.ts'
import { authenticationKeys } from './did-document.ts'
import { digestSignedBy, type EcdsaSignature, registryOf } from './erc1056.ts'
import type { Act } from './grant-jwt.ts'
import { type ContactsRate, MAX_INSTALLATIONS, MAX_VALIDITY_S } from './limits.ts'
import { type ContactsStore, type Granted, NONCE_LIFE_MS, type Ticket } from './store.ts'
import { verifyGrantJwt } from './verify-grant.ts'

/** What a change is asked for by. With a token it names the installation itself. */
export type Authority =
  | { kind: 'signature'; signature: EcdsaSignature; attribute: Attribute; validity: number }
  | { kind: 'jwt'; jwt: string; attribute?: Attribute | undefined }

export interface Contacts {
  /** The live ones in the order of their grants. Throws `bad_params`. */
  installations(did: string): Promise<Attribute[]>
  /** What the next ERC-1056 signature must be over. Throws `bad_params` for who cannot sign one. */
  nonce(did: string): Promise<{ nonce: number; registry: string }>
  /**
   * Answers what was signed, hex with 0x, where it was a signature. Throws `bad_params`, `forbidden` whatever is wrong
   * with the authority, `too_many_installations`, `rate_limited`, `store_full`.
   */
  grant(did: string, authority: Authority, payer?: Payer): Promise<{ digest: string | undefined }>
  /** There need be no such installation. Throws like `grant`. */
  revoke(did: string, authority: Authority, payer?: Payer): Promise<void>
}

export interface ContactsDeps {
  store: ContactsStore
  /** The CACAO by which the account lets the identity key speak for it. Throws `identity_unknown`. */
  identity: (identityKey: string, accountKey: string) => Promise<Cacao>
  /** For did documents. */
  fetch: PublicFetch
  /** Throws `rate_limited`: changes that an account makes, and requests to one domain. */
  limit: (name: ContactsRate, key: string) => Promise<void>
  verifySignature?: ContractWalletCheck | undefined
  clock: Clock
  log: Log
}

/** `did`: this server's did:web. `isOwnDid`: whether a token that names this one is for us. */
export interface ContactsOptions {
  did: string
  isOwnDid: (did: string) => boolean
}

/** More changes than an account can make until its nonce is forgotten. */
const NONCES_PER_LIFE = 2 ** 32
/**
 * The nonce of an account that has none: it rises once in a life, so that what was signed before an account was forgotten
 * is never good again.
 */
const firstNonceAt = (now: number): number => Math.floor(now / NONCE_LIFE_MS) * NONCES_PER_LIFE

const DOCUMENT_REQUEST = { milliseconds: 5_000, bytes: 64 * 1024 }
const DOCUMENT_CACHE = { milliseconds: 60_000, most: 1_000 }
const ACTS: Record<'set' | 'revoke', Act> = { set: 'grant_installation', revoke: 'revoke_installation' }
/** Reasons that are not the caller's fault, or that it can do something about. */
const SHOWN_CODES = new Set(['unavailable', 'rate_limited', 'store_full', 'internal', 'bad_params'])

interface Permit {
  ticket: Ticket
  attribute: Attribute
  validity: number
  digest: string | undefined
}

export const createContacts = (
  deps: ContactsDeps,
  { did: serverDid, isOwnDid }: ContactsOptions,
): Contacts => {
  const { store, identity, fetch, limit, verifySignature, clock, log } = deps
  const registry = registryOf(serverDid)
  const keysByDomain = createTtlCache<string[]>({ clock }, DOCUMENT_CACHE)

  const keysOfDomain = (domain: string, did: string, payer: Payer): Promise<string[]> =>
    keysByDomain(domain, async () => {
      await payer.work(WORK_COST.lookUp)
      await limit('didDocuments', domain)
      const { status, body } = await fetch(`https://${domain}/.well-known/did.json`, DOCUMENT_REQUEST)
      if (status !== 200) throw new ProtocolError('unavailable', `its domain answered ${status}`)
      return authenticationKeys(body, did)
    })

  /** Whether the Ed25519 key speaks for the holder now. */
  const speaksFor = async (key: string, holder: Holder, payer: Payer): Promise<boolean> => {
    if (holder.kind === 'key') return key === holder.key
    if (holder.kind === 'web') return (await keysOfDomain(holder.domain, holder.key, payer)).includes(key)
    const cacao = await identity(key, holder.key)
    if (identityKeyOf(cacao) !== key || accountKey(accountOf(cacao)) !== holder.key) return false
    await payer.work(WORK_COST.signature)
    // It was good when it was registered, and may have expired since.
    await verifyCacao(cacao, { now: clock.now(), verifySignature })
    return true
  }

  const nextNonce = async ({ key }: Holder): Promise<Extract<Ticket, { kind: 'nonce' }>> => {
    const now = clock.now()
    const first = firstNonceAt(now)
    const nonce = (await store.nonce(accountHash(key))) ?? first
    return { kind: 'nonce', nonce, first, until: now + NONCE_LIFE_MS }
  }

  const byJwt = async (
    kind: 'set' | 'revoke',
    holder: Holder,
    { jwt, attribute: asked }: Extract<Authority, { kind: 'jwt' }>,
    payer: Payer,
  ): Promise<Permit> => {
    await payer.work(WORK_COST.token)
    const { claims, ticket } = await verifyGrantJwt(jwt, { now: clock.now(), act: ACTS[kind], isOwnDid })
    if (!names(claims.sub, holder)) throw new ProtocolError('account_mismatch')
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
    const ticket = await nextNonce(holder)
    const by = { registry, nonce: ticket.nonce, identity: holder.address }
    const digest = digestSignedBy({ act, ...attribute, validity }, by, signature)
    if (!digest) throw new ProtocolError('forbidden', 'the account did not sign it')
    return { ticket, attribute, validity, digest: `0x${toHex(digest)}` }
  }

  /** Throws `forbidden`, whatever it was: a stranger need not know how near he was. */
  const permitOf = async (
    act: 'set' | 'revoke',
    holder: Holder,
    authority: Authority,
    payer: Payer,
  ): Promise<Permit> => {
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

  const checkOutcome = (granted: Granted): void => {
    if (granted === 'used') throw new ProtocolError('forbidden', 'it was used before')
    if (granted === 'full') {
      throw new ProtocolError('too_many_installations', `at most ${MAX_INSTALLATIONS}`)
    }
  }

  const checkValidity = (seconds: number): void => {
    if (seconds > MAX_VALIDITY_S) {
      throw new ProtocolError('bad_params', `the validity is at most ${MAX_VALIDITY_S} s`)
    }
  }

  return {
    async installations(did) {
      const found = await store.installations(accountHash(holderOf(did).key), clock.now())
      return found.map(({ name, value }) => ({ name, value: fromBase64url(value) }))
    },

    async nonce(did) {
      const holder = holderOf(did)
      if (holder.kind !== 'account' || holder.address === undefined) {
        throw new ProtocolError('bad_params', 'it has no Ethereum address that could sign')
      }
      return { nonce: (await nextNonce(holder)).nonce, registry }
    },

    async grant(did, authority, payer = HOUSE) {
      const holder = holderOf(did)
      if (authority.kind === 'signature') checkValidity(authority.validity)
      const { ticket, attribute, validity, digest } = await permitOf('set', holder, authority, payer)
      checkValidity(validity)
      // Only who may change it uses up what it may: a stranger locks nobody out.
      await limit('installations', holder.key)
      const now = clock.now()
      const value = toBase64url(attribute.value)
      await payer.keep(value.length, validity * 1000)
      if (ticket.kind === 'nonce') await payer.keep(0, NONCE_LIFE_MS)
      const installation = { name: attribute.name, value, expiresAt: now + validity * 1000 }
      checkOutcome(
        await store.grant(accountHash(holder.key), ticket, installation, { now, most: MAX_INSTALLATIONS }),
      )
      return { digest }
    },

    async revoke(did, authority, payer = HOUSE) {
      const holder = holderOf(did)
      const { ticket, attribute } = await permitOf('revoke', holder, authority, payer)
      await limit('installations', holder.key)
      // An account without installations leaves nothing but its nonce here. Others may always revoke.
      if (
        ticket.kind === 'nonce' &&
        (await store.installations(accountHash(holder.key), clock.now())).length === 0
      )
        await payer.keep(0, NONCE_LIFE_MS)
      const installation = { name: attribute.name, value: toBase64url(attribute.value) }
      checkOutcome(await store.revoke(accountHash(holder.key), ticket, installation, clock.now()))
    },
  }
}

/** A token may call the account otherwise than the request that it comes with. */
const names = (did: string, holder: Holder): boolean => {
  try {
    return holderOf(did).key === holder.key
  } catch {
    return false
  }
}

const isSame = (a: Attribute, b: Attribute): boolean => a.name === b.name && toHex(a.value) === toHex(b.value)
