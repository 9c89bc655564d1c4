/**
 * Who is behind an identity key, and what it may do: the CACAO that a key server has for it, verified here, whoever that
 * server is.
 *
 * The key server is asked for each request, so that a key that was taken back stops when the look-up says so. What
 * follows from the CACAO's text alone (who signed it, what it allows) is worked out once and kept by its hash; its dates
 * are looked at each time, and contract wallets are asked each time, because their owners change.
 */

import { createTtlCache } from '../../platform/concurrency/ttl-cache.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import {
  accountOf,
  type Cacao,
  checkDates,
  datesOf,
  identityKeyOf,
  verifyCacaoSignature,
} from '../../protocol/cacao.ts'
import { type Account, accountKey } from '../../protocol/caip.ts'
import { didPkh } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import { messageIdOf } from '../../protocol/topic.ts'
import { type Authority, authorityOf, authorize } from './authority.ts'

/**
 * Asks the key server for the CACAO by which this account lets the identity key (did:key) speak for it. Where the server
 * knows one of another account alone, that one is answered. Throws `identity_unknown`, `key_server_refused` (not one
 * that this server asks), `rate_limited` (it is asked too much) or `unavailable`.
 */
export type IdentityLookup = (
  keyServerUrl: string,
  identityKey: string,
  accountKey: string,
  signal?: AbortSignal,
) => Promise<Cacao>

/** How long what was worked out is kept, ms, and of how many CACAOs; each is some 300 bytes. */
const KEPT = { ttlMs: 3_600_000, maxEntries: 10_000 }

/** What follows from the text of a CACAO: its authority, or why it has none. */
type Examined = { authority: Authority } | { refusal: ProtocolError }

/** Signatures of these kinds are answered by a chain. */
const isOfContract = ({ s }: Cacao): boolean => s.t === 'eip1271' || s.t === 'eip6492'

export interface Identities {
  /** Throws unless the identity key belongs to this account and may act for this app (null: for all). */
  establish(claims: { iss: string; ksu: string }, account: Account, domain: string | null): Promise<void>
}

export const createIdentities = (
  deps: { lookup: IdentityLookup; clock: Clock },
  options: { notifyUrls: readonly string[]; verifySignature?: ContractWalletCheck | undefined },
): Identities => {
  const { lookup, clock } = deps
  const { verifySignature } = options
  const kept = createTtlCache<Examined>({ clock }, KEPT)

  const examine = async (cacao: Cacao): Promise<Examined> => {
    try {
      if (!isOfContract(cacao)) await verifyCacaoSignature(cacao)
      return { authority: authorityOf(cacao, options) }
    } catch (error) {
      if (error instanceof ProtocolError) return { refusal: error }
      throw error
    }
  }

  return {
    async establish({ iss, ksu }, account, domain) {
      const cacao = await lookup(ksu, iss, accountKey(account))
      if (identityKeyOf(cacao) !== iss) {
        throw new ProtocolError('identity_invalid', 'it was registered for another key')
      }
      // Chain-agnostic, as people are everywhere here: a wallet signs in on one chain and names the account on another. So
      // a contract that stands at one address on two chains is one person, and only chains that the operator names are asked.
      if (accountKey(accountOf(cacao)) !== accountKey(account)) {
        throw new ProtocolError('account_mismatch', `the identity key is not one of ${didPkh(account.text)}`)
      }
      checkDates(datesOf(cacao), clock.now())
      if (isOfContract(cacao)) await verifyCacaoSignature(cacao, verifySignature)
      const examined = await kept(`${iss} ${messageIdOf(JSON.stringify(cacao))}`, () => examine(cacao))
      if ('refusal' in examined) throw examined.refusal
      authorize(examined.authority, domain)
    },
  }
}
