/** The registry of installations, put together. Identity keys are those of the key registry on the same store. */
import type { Hono } from 'hono'
import { contactsRoutes } from '../../contacts/http.ts'
import { CONTACTS_RATES } from '../../contacts/limits.ts'
import { createContacts } from '../../contacts/service.ts'
import { createRateLimits } from '../../platform/budgets/rate-limits.ts'
import { addressRules } from '../../platform/net/public-address.ts'
import { createPublicFetch } from '../../platform/net/public-fetch.ts'
import { parseCacao } from '../../protocol/cacao.ts'
import { didWeb, domainFromDidWeb } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import type { RoomContext } from '../context.ts'

export const buildContacts = (
  context: RoomContext,
  verifySignature: ContractWalletCheck | undefined,
): Hono => {
  const { config, urls, stores, clock, log, metrics: meter } = context
  const limits = createRateLimits(stores.buckets, CONTACTS_RATES, config.limits)

  const contacts = createContacts(
    {
      store: stores.contacts,
      async identity(identityKey, account) {
        const entry = await stores.keys.identity(identityKey, account)
        if (!entry || entry.revokedAt !== undefined) throw new ProtocolError('identity_unknown')
        return parseCacao(JSON.parse(entry.cacao))
      },
      fetch: createPublicFetch({ rules: addressRules(config.allowPrivateAddresses.did) }),
      limit: (name, key) => limits.take(name, key),
      verifySignature,
      clock,
      log,
    },
    { did: didWeb(new URL(urls.publicUrl).host), isOwnDid: isOneOf(urls.isOwnUrl) },
  )
  return contactsRoutes({ contacts, log, meter, payerFor: context.payerFor })
}

/** A did:web names a host, whatever the scheme. */
const isOneOf =
  (isOwnUrl: (url: string) => boolean) =>
  (did: string): boolean => {
    try {
      const host = domainFromDidWeb(did)
      return isOwnUrl(`https://${host}`) || isOwnUrl(`http://${host}`)
    } catch {
      return false
    }
  }
