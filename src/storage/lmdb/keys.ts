/**
 * The key registry in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | keys.identities | identity key, account key | account, CACAO text, when it was revoked, whether it is proven |
 * | keys.defaults | identity key | account key of its default |
 * | keys.invites | account key | invite key, account, identity key |
 * | keys.registered | identity key, account key | – (invite keys that go when the identity key goes) |
 */

import type { IdentityEntry, InviteEntry, KeysStore } from '../../keys/store.ts'
import { BYTES, type Bytes, behind, name, named, PRESENT, ROWS, type Rows } from './bytes.ts'
import type { Env } from './env.ts'

export const createLmdbKeys = (env: Env): KeysStore => {
  const identities: Rows<IdentityEntry> = env.openDB({ name: 'keys.identities', ...ROWS })
  const defaults: Rows<string> = env.openDB({ name: 'keys.defaults', ...ROWS })
  const invites: Rows<InviteEntry> = env.openDB({ name: 'keys.invites', ...ROWS })
  const registered: Bytes = env.openDB({ name: 'keys.registered', ...BYTES })

  const marked = (entry: IdentityEntry): IdentityEntry =>
    defaults.get(name(entry.identityKey)) === entry.accountKey ? { ...entry, isDefault: true } : entry

  const removeInvite = (accountKey: string): boolean => {
    const entry = invites.get(name(accountKey))
    if (!entry) return false
    invites.remove(name(accountKey))
    registered.remove(named(entry.identityKey, name(accountKey)))
    return true
  }

  return {
    async registerIdentity({ isDefault, ...entry }) {
      const { identityKey, accountKey } = entry
      const [at, key] = [named(identityKey, name(accountKey)), name(identityKey)]
      await env.transaction(() => {
        identities.put(at, entry)
        if (isDefault || defaults.get(key) === undefined) defaults.put(key, accountKey)
      })
    },

    async identity(identityKey, accountKey = defaults.get(name(identityKey))) {
      const entry = accountKey && identities.get(named(identityKey, name(accountKey)))
      return entry ? marked(entry) : undefined
    },

    async unregisterIdentity(identityKey, accountKey) {
      const at = named(identityKey, name(accountKey))
      return env.transaction(() => {
        if (registered.get(at) !== undefined) removeInvite(accountKey)
        const was = identities.get(at) !== undefined
        if (was) identities.remove(at)
        if (defaults.get(name(identityKey)) === accountKey) defaults.remove(name(identityKey))
        return was
      })
    },

    async registerInvite(accountKey, { inviteKey, account, identityKey }) {
      const at = name(accountKey)
      const index = named(identityKey, at)
      await env.transaction(() => {
        removeInvite(accountKey)
        invites.put(at, { inviteKey, account, identityKey })
        registered.put(index, PRESENT)
      })
    },

    async invite(accountKey) {
      return invites.get(name(accountKey))
    },

    async unregisterInvite(accountKey) {
      name(accountKey)
      return env.transaction(() => removeInvite(accountKey))
    },

    async identities({ after, limit }) {
      const [key = '', accountKey = ''] = after?.split(' ') ?? []
      // A key alone stands before all of its accounts.
      const start =
        after === undefined ? undefined : accountKey ? behind(named(key, name(accountKey))) : named(key)
      return [...identities.getRange(start === undefined ? { limit } : { start, limit })].map(({ value }) =>
        marked(value),
      )
    },
  }
}
