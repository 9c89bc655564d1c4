/**
 * The key registry: which identity key speaks for which account, and under which invite key an account can be reached.
 *
 * | use case         | asks for                                             | refuses with                          |
 * |------------------|------------------------------------------------------|---------------------------------------|
 * | register         | a CACAO, signed by the account; a JWT by the key     | bad_params, identity_invalid, jwt_*   |
 * | unregister       | JWT `unregister_identity` by the key, for its account | jwt_*, account_mismatch, identity_unknown |
 * | registerInvite   | JWT `register_invite` by a registered key            | the same                              |
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
import {
  accountOf,
  type Cacao,
  cacaoTexts,
  identityKeyOf,
  parseCacao,
  verifyCacao,
} from '../protocol/cacao.ts'
import { accountKey, parseAccount } from '../protocol/caip.ts'
import { accountFromDidPkh, ed25519FromDid, x25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Claims, verifyJwt } from '../protocol/jwt.ts'
import type { ContractWalletCheck } from '../protocol/signatures.ts'
import {
  ERASED,
  IDENTITY_LIFE_MS,
  type IdentityEntry,
  type InviteEntry,
  type KeysStore,
  REVOKED_LIFE_MS,
} from './store.ts'

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

/** How often it is written down that a key is in use, and of how many keys a process remembers that it was. */
const PROLONG_EVERY_MS = 86_400_000
const MAX_REMEMBERED_KEYS = 50_000

const DAY_MS = 86_400_000

/** An older one is not registered any more: whether it was revoked need not be remembered for ever. */
const isRecent = ({ p }: Cacao, now: number): boolean => {
  const signedAt = Date.parse(p.iat)
  return signedAt > now - IDENTITY_LIFE_MS && signedAt < now + DAY_MS
}

/** Each of the texts that may have been signed takes a signature to compare; a contract wallet is asked about it. */
const signatureCost = (cacao: Cacao): number =>
  cacaoTexts(cacao).length *
  (cacao.s.t === 'eip191' ? WORK_COST.signature : WORK_COST.signature + WORK_COST.lookUp)

/** How far ahead of ours a clock may be that signs a key anew, ms. */
const MAX_CLOCK_SKEW_MS = 300_000

export const createKeyRegistry = (deps: KeyRegistryDeps, options: KeyRegistryOptions = {}): KeyRegistry => {
  const { store, clock, log, verifySignature } = deps
  const serially = createKeyedLock()

  const verify = (cacao: Cacao): Promise<void> =>
    verifyCacao(cacao, { now: clock.now(), ...(verifySignature && { verifySignature }) })

  /** A date that cannot be read, or that lies ahead, is not later than anything. */
  const isSignedSince = (instant: number, cacao: Cacao): boolean => {
    const signedAt = Date.parse(cacao.p.iat)
    return signedAt > instant && signedAt <= clock.now() + MAX_CLOCK_SKEW_MS
  }

  const prolonged = createTtlCache<void>(
    { clock },
    { milliseconds: PROLONG_EVERY_MS, most: MAX_REMEMBERED_KEYS },
  )
  /** Whoever is asked about has a year more. */
  const used = (identityKey: string): Promise<void> =>
    prolonged(identityKey, () => store.prolong(identityKey, clock.now() + IDENTITY_LIFE_MS))

  /** The entry of a key that is registered and not revoked. */
  const present = async (identityKey: string, key?: string): Promise<IdentityEntry> => {
    const entry = await store.identity(identityKey, key)
    if (!entry || entry.revokedAt !== undefined) throw new ProtocolError('identity_unknown')
    return entry
  }

  /** A JWT that its issuer, an identity key, made for us and for this action. */
  const claimsOf = (idAuth: string, act: string): Claims => {
    const claims = verifyJwt(idAuth, { now: clock.now(), act })
    const { aud } = claims
    if (options.isOwnUrl && !(typeof aud === 'string' && options.isOwnUrl(aud))) {
      log.warn(
        { act, aud: typeof aud === 'string' ? aud.slice(0, 256) : null },
        'A JWT for another key server',
      )
      throw new ProtocolError('jwt_wrong_audience')
    }
    return claims
  }

  /** The account for which the identity key speaks here (`pkh`). */
  const accountIn = ({ pkh }: Claims): { account: string; key: string } => {
    if (typeof pkh !== 'string') throw new ProtocolError('bad_params', 'the JWT has no pkh')
    const account = accountFromDidPkh(pkh)
    return { account: account.text, key: accountKey(account) }
  }

  /** The entry of the key for that account; `account_mismatch` when the key is registered, but not for it. */
  const entryFor = async (identityKey: string, key: string): Promise<IdentityEntry> => {
    const entry = await store.identity(identityKey, key)
    if (entry) return entry
    const other = await store.identity(identityKey)
    throw new ProtocolError(other && other.accountKey !== ERASED ? 'account_mismatch' : 'identity_unknown')
  }
  const presentFor = async (identityKey: string, key: string): Promise<IdentityEntry> => {
    const entry = await entryFor(identityKey, key)
    if (entry.revokedAt !== undefined) throw new ProtocolError('identity_unknown')
    return entry
  }

  /** Whether the identity key says itself that it is the account's. */
  const isProvenBy = (idAuth: string | undefined, identityKey: string, key: string): boolean => {
    if (idAuth === undefined) return false
    const claims = claimsOf(idAuth, 'register_identity')
    if (claims.iss !== identityKey) throw new ProtocolError('jwt_invalid', 'another key signed it')
    if (accountIn(claims).key !== key) throw new ProtocolError('account_mismatch')
    return true
  }

  const inviteKeyOf = (claims: Claims): string => {
    const { sub } = claims
    if (typeof sub !== 'string') throw new ProtocolError('bad_params', 'the JWT has no sub')
    x25519FromDid(sub)
    return sub
  }

  /** The invite key, unless the identity key behind it has gone since. */
  const presentInvite = async (key: string): Promise<InviteEntry> => {
    const entry = await store.invite(key)
    if (!entry) throw new ProtocolError('not_found')
    return entry
  }

  return {
    async register(input, payer = HOUSE, idAuth) {
      const cacao = parseCacao(input)
      const identityKey = identityKeyOf(cacao)
      const account = accountOf(cacao)
      const key = accountKey(account)
      await payer.work(signatureCost(cacao) + (idAuth === undefined ? 0 : WORK_COST.token))
      const isProvenNow = isProvenBy(idAuth, identityKey, key)
      await verify(cacao)
      const text = JSON.stringify(input)
      await serially(identityKey, async () => {
        const [known, erased, current] = await Promise.all([
          store.identity(identityKey, key),
          store.identity(identityKey, ERASED),
          store.identity(identityKey),
        ])
        for (const one of [known, erased]) {
          if (one?.revokedAt !== undefined && !isSignedSince(one.revokedAt, cacao)) {
            throw new ProtocolError('identity_invalid', 'the key was revoked after this was signed')
          }
        }
        const isProven = isProvenNow || (known?.revokedAt === undefined && known?.isProven === true)
        // Others may have claimed the key: who proves that it is theirs is the one that it speaks for.
        const isDefault = isProven && (current?.isProven !== true || current.accountKey === key)
        if (known?.cacao === text && known.isProven === (isProven || undefined)) return used(identityKey)
        if (!isRecent(cacao, clock.now())) {
          throw new ProtocolError('identity_invalid', 'it was signed a year ago, or its date is wrong')
        }
        await payer.keep(text.length + account.text.length, IDENTITY_LIFE_MS)
        // First, so that nothing is ever there without an end.
        await store.prolong(identityKey, clock.now() + IDENTITY_LIFE_MS)
        await store.registerIdentity({
          ...{ identityKey, accountKey: key, account: account.text, cacao: text },
          ...(isProven && { isProven }),
          ...(isDefault && { isDefault }),
        })
      })
      return identityKey
    },

    async identity(publicKey, key) {
      const identityKey = publicKey.startsWith('did:key:') ? publicKey : `did:key:${publicKey}`
      ed25519FromDid(identityKey)
      const { cacao } = await present(identityKey, key)
      await used(identityKey)
      return cacao
    },

    async unregister(idAuth) {
      const claims = claimsOf(idAuth, 'unregister_identity')
      await serially(claims.iss, async () => {
        const { key } = accountIn(claims)
        const known = await store.identity(claims.iss, key)
        // Nobody knows any more whose it was.
        if (!known && (await store.identity(claims.iss, ERASED))) return
        const entry = known ?? (await entryFor(claims.iss, key))
        // Asked again because the first answer got lost: it is done.
        if (entry.revokedAt !== undefined) return
        await store.prolong(claims.iss, clock.now() + REVOKED_LIFE_MS)
        await store.unregisterIdentity(claims.iss, key)
        await store.registerIdentity({ ...entry, cacao: '', revokedAt: clock.now() })
      })
    },

    async registerInvite(idAuth, payer = HOUSE) {
      await payer.work(WORK_COST.token)
      const claims = claimsOf(idAuth, 'register_invite')
      await serially(claims.iss, async () => {
        const { account, key } = accountIn(claims)
        const entry = await presentFor(claims.iss, key)
        const inviteKey = inviteKeyOf(claims)
        const cacao = parseCacao(JSON.parse(entry.cacao))
        await payer.work(signatureCost(cacao))
        await verify(cacao)
        await payer.keep(account.length, IDENTITY_LIFE_MS)
        await store.registerInvite(key, { inviteKey, account, identityKey: claims.iss })
      })
    },

    async invite(account) {
      return (await presentInvite(accountKey(parseAccount(account)))).inviteKey
    },

    async unregisterInvite(idAuth) {
      const claims = claimsOf(idAuth, 'unregister_invite')
      await serially(claims.iss, async () => {
        const { key } = accountIn(claims)
        await presentFor(claims.iss, key)
        const { inviteKey } = await presentInvite(key)
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
