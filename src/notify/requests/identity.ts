/**
 * Verifies who is behind an identity key and what the key may do, by the CACAO that a key server returns for it. The
 * CACAO is verified here, whichever key server that is.
 *
 * The key server is asked for each request, so that a revoked key stops to count when the look-up says so. What follows
 * from the CACAO's text alone (whom it names, its signature, its authority) is remembered by the hash of the text. Its
 * dates are checked each time, and contract wallets are asked each time, because their owners change.
 */

import { createTtlCache } from '../../platform/concurrency/ttl-cache.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { HOUR_MS } from '../../platform/units.ts'
import {
  accountOf,
  type Cacao,
  type CacaoDates,
  checkDates,
  datesOf,
  identityKeyOf,
  verifyCacaoSignature,
} from '../../protocol/cacao.ts'
import { type Account, accountKey } from '../../protocol/caip.ts'
import { didPkh } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import { type Authority, authorityOf, authorize } from './authority.ts'

/**
 * Asks the key server for the CACAO by which this account lets the identity key (did:key) speak for it. A server that
 * knows only one of another account returns that one. `digest` names its text; `read` parses it. Throws
 * `identity_unknown`, `key_server_refused` (this server asks other key servers only), `rate_limited` (too many look-ups)
 * or `unavailable`.
 */
export type IdentityLookup = (
  keyServerUrl: string,
  identityKey: string,
  accountKey: string,
  signal?: AbortSignal,
) => Promise<{ digest: string; read(): Cacao }>

/** What is remembered of a CACAO takes some 500 bytes of memory. */
const REMEMBERED = { ttlMs: HOUR_MS, entries: 10_000 }

/** What follows from the text of a CACAO: its authority, or why it has none. */
type Examined = { authority: Authority } | { refusal: ProtocolError }

/** What is remembered of a CACAO; its signature is verified when the rest of it is in order for the first time. */
interface Remembered {
  identityKey: string
  accountKey: string
  dates: CacaoDates
  isOfContract: boolean
  examined?: Promise<Examined>
}

/** Signatures of these kinds are verified by a call to a chain. */
const isOfContract = ({ s }: Cacao): boolean => s.t === 'eip1271' || s.t === 'eip6492'

export interface Identities {
  /**
   * Throws unless the identity key belongs to this account and may act for this app (null: for all). Resolves with what
   * parses the CACAO that says so.
   */
  verify(claims: { iss: string; ksu: string }, account: Account, domain: string | null): Promise<() => Cacao>
}

export const createIdentities = (
  deps: { lookup: IdentityLookup; clock: Clock },
  options: { notifyUrls: readonly string[]; verifySignature?: ContractWalletCheck | undefined },
): Identities => {
  const { lookup, clock } = deps
  const { verifySignature } = options
  const rememberedOf = createTtlCache<Remembered>({ clock }, REMEMBERED)

  const examine = async (cacao: Cacao): Promise<Examined> => {
    try {
      if (!isOfContract(cacao)) await verifyCacaoSignature(cacao)
      return { authority: authorityOf(cacao, options) }
    } catch (error) {
      if (error instanceof ProtocolError) return { refusal: error }
      throw error
    }
  }

  /** Of those that ask at the same time one verifies. A failure that is no refusal is not remembered. */
  const examinedOnce = (remembered: Remembered, read: () => Cacao): Promise<Examined> => {
    if (remembered.examined) return remembered.examined
    const examined = examine(read())
    remembered.examined = examined
    examined.catch(() => {
      if (remembered.examined === examined) delete remembered.examined
    })
    return examined
  }

  return {
    async verify({ iss, ksu }, account, domain) {
      const key = accountKey(account)
      const { digest, read } = await lookup(ksu, iss, key)
      const remembered = await rememberedOf(digest, async () => {
        const cacao = read()
        return {
          identityKey: identityKeyOf(cacao),
          accountKey: accountKey(accountOf(cacao)),
          dates: datesOf(cacao),
          isOfContract: isOfContract(cacao),
        }
      })
      if (remembered.identityKey !== iss) {
        throw new ProtocolError('identity_invalid', 'it was registered for another key')
      }
      // Accounts are compared without their chain: a wallet signs in on one chain and names the account on another. So a
      // contract at one address on two chains is one account, and only chains that the operator names are asked.
      if (remembered.accountKey !== key) {
        throw new ProtocolError('account_mismatch', `the identity key is not one of ${didPkh(account.text)}`)
      }
      checkDates(remembered.dates, clock.now())
      if (remembered.isOfContract) await verifyCacaoSignature(read(), verifySignature)
      const examined = await examinedOnce(remembered, read)
      if ('refusal' in examined) throw examined.refusal
      authorize(examined.authority, domain)
      return read
    },
  }
}
