/**
 * The key registry: which identity key speaks for which account, and under which invite key an account can be reached.
 *
 * | use case         | asks for                                             | refuses with                          |
 * |------------------|------------------------------------------------------|---------------------------------------|
 * | register         | a CACAO, signed by the account; a JWT by the key     | bad_params, identity_invalid, jwt_*   |
 * | unregister       | JWT `unregister_identity` by the key, for its account | jwt_*, account_mismatch              |
 * | registerInvite   | JWT `register_invite` by a registered key            | the same, identity_unknown            |
 * | unregisterInvite | JWT `unregister_invite` by a key of the same account | the same, not_found                   |
 *
 * Guarantees: what is here was verified when it came; a CACAO is served exactly as it came; a revoked key stops at once
 * and stays revoked, because the CACAO that brought it is public and only a later signature of the owner counts.
 */

import { HOUSE, type Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { createKeyedLock } from '../platform/concurrency/keyed-lock.ts'
import { createTtlCache } from '../platform/concurrency/ttl-cache.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { type Cacao, parseCacao, verifyCacao } from '../protocol/cacao.ts'
import { accountKey, parseAccount } from '../protocol/caip.ts'
import { ed25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { ContractWalletCheck } from '../protocol/signatures.ts'
import { createEntries } from './entries.ts'
import { registerIdentity, signatureCost, unregisterIdentity } from './register.ts'
import { IDENTITY_LIFE_MS, type IdentityEntry, type KeysStore } from './store.ts'
import { accountIn, createTokenReader, inviteKeyIn } from './tokens.ts'

export interface KeyRegistryDeps {
  store: KeysStore
  clock: Clock
  log: Log
  verifySignature?: ContractWalletCheck
}

export interface KeyRegistryOptions {
  /** Whether a JWT with this `aud` is meant for us. Without it every audience is taken. */
  isOwnUrl?: (url: string) => boolean
}

export interface KeyRegistry {
  /**
   * Idempotent. Answers the did:key that was registered. `idAuth`, a JWT `register_identity` by the identity key for the
   * account, proves that the key is the account's: what is proven comes before what is not.
   */
  register(cacao: unknown, payer?: Payer, idAuth?: string): Promise<string>
  /**
   * The CACAO as JSON text. Takes a did:key or the `z6Mk…` part of one, and whose it is to be (`accountKey`); without
   * that, the one that was proven or else came first. Throws `identity_unknown`, `bad_params`.
   */
  identity(publicKey: string, accountKey?: string): Promise<string>
  unregister(idAuth: string): Promise<void>
  registerInvite(idAuth: string, payer?: Payer): Promise<void>
  /** The invite key (did:key) of a CAIP-10 account, on whatever chain. Throws `not_found`, `bad_params`. */
  invite(account: string): Promise<string>
  unregisterInvite(idAuth: string): Promise<void>
  /** A page of what is registered, in key order, for operators. */
  list(page: { after?: string; limit: number }): Promise<IdentityEntry[]>
}

/** How often it is recorded that a key is in use, and of how many keys a process remembers that it was. */
const PROLONG_EVERY_MS = 86_400_000
const REMEMBERED_KEYS = 50_000

export const createKeyRegistry = (deps: KeyRegistryDeps, options: KeyRegistryOptions = {}): KeyRegistry => {
  const { store, clock, log, verifySignature } = deps
  const serially = createKeyedLock()
  const readToken = createTokenReader({ clock, log }, options.isOwnUrl)
  const entries = createEntries(store)
  const verify = (cacao: Cacao): Promise<void> =>
    verifyCacao(cacao, { now: clock.now(), ...(verifySignature && { verifySignature }) })
  const prolonged = createTtlCache<void>({ clock }, { ttlMs: PROLONG_EVERY_MS, entries: REMEMBERED_KEYS })
  /** A key that is asked about stays for a year more. */
  const used = (identityKey: string): Promise<void> =>
    prolonged(identityKey, () => store.prolong(identityKey, clock.now() + IDENTITY_LIFE_MS))
  const registerDeps = { store, clock, readToken, verify, used, serially }

  return {
    register: (input, payer = HOUSE, idAuth) => registerIdentity(registerDeps, input, payer, idAuth),

    async identity(publicKey, key) {
      const identityKey = publicKey.startsWith('did:key:') ? publicKey : `did:key:${publicKey}`
      ed25519FromDid(identityKey)
      const { cacao } = await entries.present(identityKey, key)
      await used(identityKey)
      return cacao
    },

    unregister: (idAuth) => unregisterIdentity(registerDeps, idAuth),

    async registerInvite(idAuth, payer = HOUSE) {
      await payer.work(WORK_COST.token)
      const claims = readToken(idAuth, 'register_invite')
      await serially(claims.iss, async () => {
        const { account, key } = accountIn(claims)
        const entry = await entries.presentFor(claims.iss, key)
        const inviteKey = inviteKeyIn(claims)
        const cacao = parseCacao(JSON.parse(entry.cacao))
        await payer.work(signatureCost(cacao))
        await verify(cacao)
        await payer.keep(account.length, IDENTITY_LIFE_MS)
        await store.registerInvite(key, { inviteKey, account, identityKey: claims.iss })
      })
    },

    async invite(account) {
      return (await entries.invite(accountKey(parseAccount(account)))).inviteKey
    },

    async unregisterInvite(idAuth) {
      const claims = readToken(idAuth, 'unregister_invite')
      await serially(claims.iss, async () => {
        const { key } = accountIn(claims)
        await entries.presentFor(claims.iss, key)
        const { inviteKey } = await entries.invite(key)
        // Where the JWT names the key: an old one must not take away the key that came after it.
        if (String(claims.sub).startsWith('did:key:') && claims.sub !== inviteKey) {
          throw new ProtocolError('not_found')
        }
        await store.unregisterInvite(key)
      })
    },

    list: (page) => store.identities(page),
  }
}
