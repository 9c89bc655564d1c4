/**
 * The key registry in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | keys.identities | identity key, account key | account, CACAO text, when it was revoked, whether it is proven |
 * | keys.defaults | identity key | account key of its default |
 * | keys.invites | account key | invite key, account, identity key |
 * | keys.ends | identity key | until when it stays, unix ms |
 * | keys.due | instant, identity key | – (what a sweep looks at then) |
 * | keys.registered | identity key, account key | – (invite keys that go when the identity key goes) |
 */

import type { IdentityEntry, InviteEntry, KeysStore } from '../../../keys/store.ts'
import {
  BYTES,
  type Bytes,
  behind,
  endOf,
  key,
  name,
  named,
  number,
  PRESENT,
  ROWS,
  type Rows,
} from '../bytes.ts'
import type { Env } from '../env.ts'

/** Bytes of an instant, before what it is about. */
const INSTANT = 8

export const createLmdbKeys = (env: Env): KeysStore => {
  const identities: Rows<IdentityEntry> = env.openDB({ name: 'keys.identities', ...ROWS })
  const defaults: Rows<string> = env.openDB({ name: 'keys.defaults', ...ROWS })
  const invites: Rows<InviteEntry> = env.openDB({ name: 'keys.invites', ...ROWS })
  const registered: Bytes = env.openDB({ name: 'keys.registered', ...BYTES })
  const ends: Rows<number> = env.openDB({ name: 'keys.ends', ...ROWS })
  const due: Bytes = env.openDB({ name: 'keys.due', ...BYTES })

  const marked = (entry: IdentityEntry): IdentityEntry =>
    defaults.get(name(entry.identityKey)) === entry.accountKey ? { ...entry, isDefault: true } : entry

  const removeInvite = (accountKey: string): boolean => {
    const entry = invites.get(name(accountKey))
    if (!entry) return false
    invites.remove(name(accountKey))
    registered.remove(named(entry.identityKey, name(accountKey)))
    return true
  }

  const removeEntry = (identityKey: string, accountKey: string): boolean => {
    const at = named(identityKey, name(accountKey))
    if (registered.get(at) !== undefined) removeInvite(accountKey)
    const was = identities.get(at) !== undefined
    if (was) identities.remove(at)
    if (defaults.get(name(identityKey)) === accountKey) defaults.remove(name(identityKey))
    return was
  }

  return {
    async registerIdentity({ isDefault, ...entry }) {
      const { identityKey, accountKey } = entry
      const [at, of] = [named(identityKey, name(accountKey)), name(identityKey)]
      await env.transaction(() => {
        identities.put(at, entry)
        if (isDefault || defaults.get(of) === undefined) defaults.put(of, accountKey)
      })
    },

    async identity(identityKey, accountKey = defaults.get(name(identityKey))) {
      const entry = accountKey && identities.get(named(identityKey, name(accountKey)))
      return entry ? marked(entry) : undefined
    },

    async unregisterIdentity(identityKey, accountKey) {
      name(accountKey)
      return env.transaction(() => removeEntry(identityKey, accountKey))
    },

    async prolong(identityKey, until) {
      const at = name(identityKey)
      await env.transaction(() => {
        const before = ends.get(at)
        if (before !== undefined && before >= until) return
        if (before !== undefined) due.remove(key(number(before), at))
        ends.put(at, until)
        due.put(key(number(until), at), PRESENT)
      })
    },

    async sweep(now, limit) {
      return env.transaction(() => {
        // An instant that has come: up to and with `now`.
        const over = [...due.getKeys({ end: number(now + 1), limit })]
        for (const at of over) {
          const identityKey = at.toString('utf8', INSTANT)
          const own = { start: named(identityKey), end: endOf(named(identityKey)) }
          for (const { value } of [...identities.getRange(own)]) removeEntry(identityKey, value.accountKey)
          ends.remove(name(identityKey))
          due.remove(at)
        }
        return over.length
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
      const [identityKey = '', accountKey = ''] = after?.split(' ') ?? []
      // A key alone stands before all of its accounts.
      const start =
        after === undefined
          ? undefined
          : accountKey
            ? behind(named(identityKey, name(accountKey)))
            : named(identityKey)
      return [...identities.getRange(start === undefined ? { limit } : { start, limit })].map(({ value }) =>
        marked(value),
      )
    },
  }
}
