/**
 * The key registry in Redis.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{i:<identity key>}` | string | the entry as JSON |
 * | `{i:<identity key>}:v` | sorted set | accounts whose invite key it registered |
 * | `{v:<account key>}` | string | the invite entry as JSON |
 * | `{identities}` | sorted set | identity keys in order: an index, entered before the entry is written |
 *
 * An invite key counts only while the set of its identity key names the account. So that an identity key goes together
 * with all invite keys that it registered is one step in one slot, wherever those are; what is left of them is removed
 * after it. The set keeps accounts whose invite key is another's by now: taking one out could overtake its return.
 */
import type { IdentityEntry, InviteEntry, KeysStore } from '../../keys/store.ts'
import type { RedisConnection } from './connection.ts'
import { name } from './relay-rows.ts'
import { keysRevoke } from './scripts/keys-revoke.ts'
import { keysUninvite } from './scripts/keys-uninvite.ts'
import { whole } from './scripts.ts'

/** Accounts of one identity key whose left-overs are removed in one go. */
const BATCH = 500

export const createRedisKeys = (redis: RedisConnection): KeysStore => {
  const { prefix, client } = redis
  const identityAt = (identityKey: string) => `${prefix}{i:${name(identityKey)}}`
  const registeredAt = (identityKey: string) => `${identityAt(identityKey)}:v`
  const inviteAt = (accountKey: string) => `${prefix}{v:${name(accountKey)}}`
  const index = `${prefix}{identities}`

  const parseIdentity = (json: string, identityKey: string): IdentityEntry => {
    const { account, cacao, revokedAt }: Omit<IdentityEntry, 'identityKey'> = JSON.parse(json)
    return { identityKey, account, cacao, ...(revokedAt !== undefined && { revokedAt }) }
  }
  const parseInvite = (json: string): InviteEntry => {
    const { inviteKey, account, identityKey }: InviteEntry = JSON.parse(json)
    return { inviteKey, account, identityKey }
  }

  /** Whether the identity key that registered the invite key is still behind it. */
  const counts = async (accountKey: string, { identityKey }: InviteEntry): Promise<boolean> =>
    (await redis.one(() => client.zscore(registeredAt(identityKey), accountKey))) !== null

  /** Removes an invite entry if it is still the one that was read. */
  const removeInvite = async (accountKey: string, json: string): Promise<boolean> =>
    whole(await redis.one(() => redis.script(keysUninvite, [inviteAt(accountKey)], [json]))) === 1

  return {
    async registerIdentity({ identityKey, account, cacao, revokedAt }) {
      const at = identityAt(identityKey)
      await redis.one(() => client.zadd(index, 0, identityKey))
      await redis.one(() =>
        client.set(at, JSON.stringify({ account, cacao, ...(revokedAt !== undefined && { revokedAt }) })),
      )
    },

    async identity(identityKey) {
      const json = await redis.one(() => client.get(identityAt(identityKey)))
      return json === null ? undefined : parseIdentity(json, identityKey)
    },

    async unregisterIdentity(identityKey) {
      const [at, registered] = [identityAt(identityKey), registeredAt(identityKey)]
      // Read in pages, before they are gone: what one misses is an entry that counts no more.
      const accounts: string[] = []
      for (let from = 0; ; from += BATCH) {
        const page = await redis.one(() => client.zrange(registered, from, from + BATCH - 1))
        accounts.push(...page)
        if (page.length < BATCH) break
      }
      const was = whole(await redis.one(() => redis.script(keysRevoke, [at, registered], []))) === 1
      for (let from = 0; from < accounts.length; from += BATCH) {
        const some = accounts.slice(from, from + BATCH)
        const entries = await redis.batch(() => some.map((account) => client.get(inviteAt(account))))
        for (const [which, account] of some.entries()) {
          const json = entries[which]
          if (json == null) continue
          const entry = parseInvite(json)
          if (entry.identityKey === identityKey && !(await counts(account, entry)))
            await removeInvite(account, json)
        }
      }
      await redis.one(() => client.zrem(index, identityKey))
      // Registered again meanwhile.
      if ((await redis.one(() => client.exists(at))) === 1)
        await redis.one(() => client.zadd(index, 0, identityKey))
      return was
    },

    async registerInvite(accountKey, { inviteKey, account, identityKey }) {
      const at = inviteAt(accountKey)
      await redis.one(() => client.zadd(registeredAt(identityKey), 0, accountKey))
      await redis.one(() => client.set(at, JSON.stringify({ inviteKey, account, identityKey })))
    },

    async invite(accountKey) {
      const json = await redis.one(() => client.get(inviteAt(accountKey)))
      if (json === null) return undefined
      const entry = parseInvite(json)
      return (await counts(accountKey, entry)) ? entry : undefined
    },

    async unregisterInvite(accountKey) {
      const json = await redis.one(() => client.get(inviteAt(accountKey)))
      if (json === null) return false
      const entry = parseInvite(json)
      const counted = await counts(accountKey, entry)
      return (await removeInvite(accountKey, json)) && counted
    },

    async identities({ after, limit }) {
      const found: IdentityEntry[] = []
      for (let last = after; found.length < limit; ) {
        const wanted = limit - found.length
        const start = last === undefined ? '-' : `(${name(last)}`
        const page = await redis.one(() => client.zrangebylex(index, start, '+', 'LIMIT', 0, wanted))
        if (page.length === 0) break
        const entries = await redis.batch(() =>
          page.map((identityKey) => client.get(identityAt(identityKey))),
        )
        for (const [at, identityKey] of page.entries()) {
          const json = entries[at]
          // Entered but not written yet, or just removed.
          if (json != null) found.push(parseIdentity(json, identityKey))
        }
        last = page.at(-1)
      }
      return found
    },
  }
}
