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
import { behind, endOf, key, name, named, number } from '../../bytes.ts'
import { BYTES, type Bytes, PRESENT, ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'

/** Bytes of an instant, before what it is about. */
const INSTANT_BYTES = 8

const openKeysTables = (env: Env) => {
  const identities: Rows<IdentityEntry> = env.openDB({ name: 'keys.identities', ...ROWS })
  const defaults: Rows<string> = env.openDB({ name: 'keys.defaults', ...ROWS })
  const invites: Rows<InviteEntry> = env.openDB({ name: 'keys.invites', ...ROWS })
  const registered: Bytes = env.openDB({ name: 'keys.registered', ...BYTES })
  const ends: Rows<number> = env.openDB({ name: 'keys.ends', ...ROWS })
  const due: Bytes = env.openDB({ name: 'keys.due', ...BYTES })
  return { env, identities, defaults, invites, registered, ends, due }
}
type KeysTables = ReturnType<typeof openKeysTables>

const marked = (keys: KeysTables, entry: IdentityEntry): IdentityEntry =>
  keys.defaults.get(name(entry.identityKey)) === entry.accountKey ? { ...entry, isDefault: true } : entry

const removeInvite = (keys: KeysTables, accountKey: string): boolean => {
  const entry = keys.invites.get(name(accountKey))
  if (!entry) return false
  keys.invites.remove(name(accountKey))
  keys.registered.remove(named(entry.identityKey, name(accountKey)))
  return true
}

const removeEntry = (keys: KeysTables, identityKey: string, accountKey: string): boolean => {
  const at = named(identityKey, name(accountKey))
  if (keys.registered.get(at) !== undefined) removeInvite(keys, accountKey)
  const was = keys.identities.get(at) !== undefined
  if (was) keys.identities.remove(at)
  if (keys.defaults.get(name(identityKey)) === accountKey) keys.defaults.remove(name(identityKey))
  return was
}

const identityVerbs = (
  keys: KeysTables,
): Pick<KeysStore, 'registerIdentity' | 'identity' | 'unregisterIdentity' | 'prolong' | 'identities'> => ({
  async registerIdentity({ isDefault, ...entry }) {
    const { identityKey, accountKey } = entry
    const [at, of] = [named(identityKey, name(accountKey)), name(identityKey)]
    await keys.env.transaction(() => {
      keys.identities.put(at, entry)
      if (isDefault || keys.defaults.get(of) === undefined) keys.defaults.put(of, accountKey)
    })
  },

  async identity(identityKey, accountKey = keys.defaults.get(name(identityKey))) {
    const entry = accountKey && keys.identities.get(named(identityKey, name(accountKey)))
    return entry ? marked(keys, entry) : undefined
  },

  async unregisterIdentity(identityKey, accountKey) {
    name(accountKey)
    return keys.env.transaction(() => removeEntry(keys, identityKey, accountKey))
  },

  async prolong(identityKey, until) {
    const at = name(identityKey)
    await keys.env.transaction(() => {
      const before = keys.ends.get(at)
      if (before !== undefined && before >= until) return
      if (before !== undefined) keys.due.remove(key(number(before), at))
      keys.ends.put(at, until)
      keys.due.put(key(number(until), at), PRESENT)
    })
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
    return [...keys.identities.getRange(start === undefined ? { limit } : { start, limit })].map(
      ({ value }) => marked(keys, value),
    )
  },
})

const inviteVerbs = (
  keys: KeysTables,
): Pick<KeysStore, 'registerInvite' | 'invite' | 'unregisterInvite'> => ({
  async registerInvite(accountKey, { inviteKey, account, identityKey }) {
    const at = name(accountKey)
    const index = named(identityKey, at)
    await keys.env.transaction(() => {
      removeInvite(keys, accountKey)
      keys.invites.put(at, { inviteKey, account, identityKey })
      keys.registered.put(index, PRESENT)
    })
  },

  async invite(accountKey) {
    return keys.invites.get(name(accountKey))
  },

  async unregisterInvite(accountKey) {
    name(accountKey)
    return keys.env.transaction(() => removeInvite(keys, accountKey))
  },
})

const sweepVerbs = (keys: KeysTables): Pick<KeysStore, 'sweep'> => ({
  async sweep(now, limit) {
    return keys.env.transaction(() => {
      // An instant that has come: up to and with `now`.
      const over = [...keys.due.getKeys({ end: number(now + 1), limit })]
      for (const at of over) {
        const identityKey = at.toString('utf8', INSTANT_BYTES)
        const own = { start: named(identityKey), end: endOf(named(identityKey)) }
        for (const { value } of [...keys.identities.getRange(own)])
          removeEntry(keys, identityKey, value.accountKey)
        keys.ends.remove(name(identityKey))
        keys.due.remove(at)
      }
      return over.length
    })
  },
})

export const createLmdbKeys = (env: Env): KeysStore => {
  const keys = openKeysTables(env)

  return {
    ...identityVerbs(keys),
    ...inviteVerbs(keys),
    ...sweepVerbs(keys),
  }
}
