/**
 * The key registry in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | keys.identities | identity key | account, CACAO text, when it was revoked |
 * | keys.invites | account key | invite key, account, identity key |
 * | keys.registered | identity key, account key | – (invite keys that go when the identity key goes) |
 */

import type { IdentityEntry, InviteEntry, KeysStore } from '../../keys/store.ts'
import { BYTES, type Bytes, behind, endOf, name, named, PRESENT, ROWS, type Rows } from './bytes.ts'
import type { Env } from './env.ts'

export const createLmdbKeys = (env: Env): KeysStore => {
  const identities: Rows<IdentityEntry> = env.openDB({ name: 'keys.identities', ...ROWS })
  const invites: Rows<InviteEntry> = env.openDB({ name: 'keys.invites', ...ROWS })
  const registered: Bytes = env.openDB({ name: 'keys.registered', ...BYTES })

  const removeInvite = (accountKey: string): boolean => {
    const entry = invites.get(name(accountKey))
    if (!entry) return false
    invites.remove(name(accountKey))
    registered.remove(named(entry.identityKey, name(accountKey)))
    return true
  }

  return {
    async registerIdentity(entry) {
      const at = name(entry.identityKey)
      await env.transaction(() => void identities.put(at, entry))
    },

    async identity(identityKey) {
      return identities.get(name(identityKey))
    },

    async unregisterIdentity(identityKey) {
      const at = name(identityKey)
      return env.transaction(() => {
        const own = { start: named(identityKey), end: endOf(named(identityKey)) }
        const prefix = named(identityKey).length
        for (const found of [...registered.getKeys(own)]) removeInvite(found.toString('utf8', prefix))
        const was = identities.get(at) !== undefined
        if (was) identities.remove(at)
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
      const start = after === undefined ? undefined : behind(name(after))
      return [...identities.getRange(start === undefined ? { limit } : { start, limit })].map(
        ({ value }) => value,
      )
    },
  }
}
