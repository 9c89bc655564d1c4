/**
 * What the registry keeps about one account, for its operator: to be handed out, or to be erased.
 *
 * Erasing leaves one trace: that the identity keys existed and are revoked, without account and CACAO. It must stay,
 * because a CACAO is public: whoever has read one could register the key again otherwise.
 */
import {
  ERASED,
  type IdentityEntry,
  type InviteEntry,
  identityCursor,
  type KeysStore,
  REVOKED_LIFE_MS,
} from './store.ts'

const PAGE_SIZE = 500

/** There is no index by account: all keys are looked through, a page after the other. */
async function* identitiesOf(store: KeysStore, key: string): AsyncGenerator<IdentityEntry> {
  for (let after: string | undefined; ; ) {
    const page = await store.identities({ limit: PAGE_SIZE, ...(after !== undefined && { after }) })
    for (const entry of page) if (entry.accountKey === key) yield entry
    const last = page.at(-1)
    after = last && identityCursor(last)
    if (page.length < PAGE_SIZE) return
  }
}

export interface AccountKeys {
  identityKeys: { identityKey: string; account: string; revokedAt: number | null; cacao: unknown }[]
  inviteKey: InviteEntry | null
}

export const exportKeys = async (store: KeysStore, key: string): Promise<AccountKeys> => {
  const identityKeys: AccountKeys['identityKeys'] = []
  for await (const { identityKey, account, cacao, revokedAt } of identitiesOf(store, key)) {
    const signed = cacao === '' ? null : JSON.parse(cacao)
    identityKeys.push({ identityKey, account, revokedAt: revokedAt ?? null, cacao: signed })
  }
  return { identityKeys, inviteKey: (await store.invite(key)) ?? null }
}

/** Idempotent. Answers how many keys there were. */
export const eraseKeys = async (
  store: KeysStore,
  key: string,
  now: number,
): Promise<{ identityKeys: number; inviteKeys: number }> => {
  const inviteKeys = (await store.unregisterInvite(key)) ? 1 : 0
  let identityKeys = 0
  for await (const { identityKey, revokedAt = now } of identitiesOf(store, key)) {
    await store.prolong(identityKey, now + REVOKED_LIFE_MS)
    await store.unregisterIdentity(identityKey, key)
    await store.registerIdentity({ identityKey, accountKey: ERASED, account: '', cacao: '', revokedAt })
    identityKeys += 1
  }
  return { identityKeys, inviteKeys }
}
