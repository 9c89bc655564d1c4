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
import type { Log } from '../platform/telemetry.ts'
import { fromBase64url, toBase64url } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { accountHash, holderOf } from './account-key.ts'
import type { Attribute } from './attribute.ts'
import { registryOf } from './erc1056.ts'
import { MAX_INSTALLATIONS, MAX_VALIDITY_S } from './limits.ts'
import { type Authority, createPermits, nextNonce } from './permits.ts'
import { createSpeaksFor, type SpeaksForDeps } from './speaks-for.ts'
import { type ContactsStore, type Granted, NONCE_LIFE_MS } from './store.ts'

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

export interface ContactsDeps extends SpeaksForDeps {
  store: ContactsStore
  log: Log
}

/** `did`: this server's did:web. `isOwnDid`: whether a token that names this one is for us. */
export interface ContactsOptions {
  did: string
  isOwnDid: (did: string) => boolean
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

export const createContacts = (
  deps: ContactsDeps,
  { did: serverDid, isOwnDid }: ContactsOptions,
): Contacts => {
  const { store, limit, clock, log } = deps
  const registry = registryOf(serverDid)
  const speaksFor = createSpeaksFor(deps)
  const permitOf = createPermits({ store, speaksFor, clock, log }, { registry, isOwnDid })

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
      return { nonce: (await nextNonce(deps, holder)).nonce, registry }
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
