/**
 * Which Ed25519 keys speak for a holder.
 *
 * | holder  | keys                                                                                            |
 * |---------|-------------------------------------------------------------------------------------------------|
 * | account | identity keys that the key registry has for it, on whatever chain, while their CACAO is good     |
 * | did:key | itself                                                                                          |
 * | did:web | those that its did document lists for authentication; read over https, cached for a minute       |
 */
import type { Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { createTtlCache } from '../platform/concurrency/ttl-cache.ts'
import type { PublicFetch } from '../platform/net/public-fetch.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { accountOf, type Cacao, identityKeyOf, verifyCacao } from '../protocol/cacao.ts'
import { accountKey } from '../protocol/caip.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { ContractWalletCheck } from '../protocol/signatures.ts'
import type { Holder } from './account-key.ts'
import { authenticationKeys } from './did-document.ts'
import type { ContactsRate } from './limits.ts'

export interface SpeaksForDeps {
  /** The CACAO by which the account lets the identity key speak for it. Throws `identity_unknown`. */
  identity: (identityKey: string, accountKey: string) => Promise<Cacao>
  /** For did documents. */
  fetch: PublicFetch
  /** Throws `rate_limited`: changes that an account makes, and requests to one domain. */
  limit: (name: ContactsRate, key: string) => Promise<void>
  verifySignature?: ContractWalletCheck | undefined
  clock: Clock
}

/** Whether the Ed25519 key (did:key) speaks for the holder now. Look-ups and signatures are charged to the payer. */
export type SpeaksFor = (key: string, holder: Holder, payer: Payer) => Promise<boolean>

const DOCUMENT_REQUEST = { milliseconds: 5_000, bytes: 64 * 1024 }
const DOCUMENT_CACHE = { ttlMs: 60_000, entries: 1_000 }

export const createSpeaksFor = (deps: SpeaksForDeps): SpeaksFor => {
  const { identity, fetch, limit, verifySignature, clock } = deps
  const keysByDomain = createTtlCache<string[]>({ clock }, DOCUMENT_CACHE)

  const keysOfDomain = (domain: string, did: string, payer: Payer): Promise<string[]> =>
    keysByDomain(domain, async () => {
      await payer.work(WORK_COST.lookUp)
      await limit('didDocuments', domain)
      const { status, body } = await fetch(`https://${domain}/.well-known/did.json`, DOCUMENT_REQUEST)
      if (status !== 200) throw new ProtocolError('unavailable', `its domain answered ${status}`)
      return authenticationKeys(body, did)
    })

  return async (key, holder, payer) => {
    if (holder.kind === 'key') return key === holder.key
    if (holder.kind === 'web') return (await keysOfDomain(holder.domain, holder.key, payer)).includes(key)
    const cacao = await identity(key, holder.key)
    if (identityKeyOf(cacao) !== key || accountKey(accountOf(cacao)) !== holder.key) return false
    await payer.work(WORK_COST.signature)
    // It was good when it was registered, and may have expired since.
    await verifyCacao(cacao, { now: clock.now(), verifySignature })
    return true
  }
}
