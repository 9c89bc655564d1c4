/**
 * The key registry in Redis.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{i:<identity key>}` | hash | by account key, the entry as JSON; by `default`, the account key of its default |
 * | `{i:<identity key>}:v` | sorted set | accounts whose invite key it registered |
 * | `{v:<account key>}` | string | the invite entry as JSON |
 * | `{identities}` | sorted set | cursors of the entries in order: an index, entered before the entry is written |
 * | `{identities}ends` | sorted set | identity keys by when they end, unix ms |
 *
 * An invite key counts only while the set of its identity key names the account. So that an identity entry goes together
 * with the invite key that it registered is one step in one slot, wherever that is; what is left of it is removed after
 * it. The set keeps accounts whose invite key is another's by now: taking one out could overtake its return.
 */
import { type IdentityEntry, type InviteEntry, identityCursor, type KeysStore } from '../../../keys/store.ts'
import type { RedisConnection } from '../connection.ts'
import { keysRegister } from '../lua/keys/register.ts'
import { keysRevoke } from '../lua/keys/revoke.ts'
import { keysUninvite } from '../lua/keys/uninvite.ts'
import { name } from '../relay/rows.ts'
import { whole } from '../script.ts'

/** No account key is spelled like that. */
const DEFAULT_FIELD = 'default'

const indexKey = ({ prefix }: RedisConnection) => `${prefix}{identities}`
const endsKey = ({ prefix }: RedisConnection) => `${prefix}{identities}ends`

const identityAt = (redis: RedisConnection, identityKey: string) => `${redis.prefix}{i:${name(identityKey)}}`

const registeredAt = (redis: RedisConnection, identityKey: string) => `${identityAt(redis, identityKey)}:v`

const inviteAt = (redis: RedisConnection, accountKey: string) => `${redis.prefix}{v:${name(accountKey)}}`

const parseIdentity = (json: string, identityKey: string, accountKey: string, isDefault: boolean) => {
  const { account, cacao, revokedAt, isProven }: IdentityEntry = JSON.parse(json)
  return {
    ...{ identityKey, accountKey, account, cacao },
    ...(revokedAt !== undefined && { revokedAt }),
    ...(isProven && { isProven }),
    ...(isDefault && { isDefault }),
  }
}

const parseInvite = (json: string): InviteEntry => {
  const { inviteKey, account, identityKey }: InviteEntry = JSON.parse(json)
  return { inviteKey, account, identityKey }
}

/** Whether the identity key that registered the invite key is still behind it. */
const counts = async (
  redis: RedisConnection,
  accountKey: string,
  { identityKey }: InviteEntry,
): Promise<boolean> =>
  (await redis.one(() => redis.client.zscore(registeredAt(redis, identityKey), accountKey))) !== null

/** Removes an invite entry if it is still the one that was read. */
const removeInvite = async (redis: RedisConnection, accountKey: string, json: string): Promise<boolean> =>
  whole(await redis.one(() => redis.script(keysUninvite, [inviteAt(redis, accountKey)], [json]))) === 1

const removeEntry = async (
  redis: RedisConnection,
  identityKey: string,
  accountKey: string,
): Promise<boolean> => {
  const [at, registered] = [identityAt(redis, identityKey), registeredAt(redis, identityKey)]
  const was = whole(await redis.one(() => redis.script(keysRevoke, [at, registered], [accountKey]))) === 1
  const json = await redis.one(() => redis.client.get(inviteAt(redis, accountKey)))
  if (json !== null) {
    const entry = parseInvite(json)
    if (entry.identityKey === identityKey && !(await counts(redis, accountKey, entry)))
      await removeInvite(redis, accountKey, json)
  }
  const cursor = `${identityKey} ${accountKey}`
  await redis.one(() => redis.client.zrem(indexKey(redis), cursor))
  // Registered again meanwhile.
  if ((await redis.one(() => redis.client.hexists(at, accountKey))) === 1)
    await redis.one(() => redis.client.zadd(indexKey(redis), 0, cursor))
  return was
}

const identityVerbs = (
  redis: RedisConnection,
): Pick<KeysStore, 'registerIdentity' | 'identity' | 'unregisterIdentity' | 'prolong' | 'identities'> => ({
  async registerIdentity(entry) {
    const { identityKey, accountKey, account, cacao, revokedAt, isProven, isDefault } = entry
    const at = identityAt(redis, identityKey)
    const json = JSON.stringify({
      ...{ account, cacao },
      ...(revokedAt !== undefined && { revokedAt }),
      ...(isProven && { isProven }),
    })
    await redis.one(() => redis.client.zadd(indexKey(redis), 0, identityCursor(entry)))
    await redis.one(() => redis.script(keysRegister, [at], [name(accountKey), json, isDefault ? 1 : 0]))
  },

  async identity(identityKey, wanted) {
    const at = identityAt(redis, identityKey)
    const chosen = wanted ?? (await redis.one(() => redis.client.hget(at, DEFAULT_FIELD)))
    if (chosen === null) return undefined
    const [json, theDefault] = await redis.one(() => redis.client.hmget(at, chosen, DEFAULT_FIELD))
    return json == null ? undefined : parseIdentity(json, identityKey, chosen, theDefault === chosen)
  },

  unregisterIdentity: (identityKey, accountKey) => removeEntry(redis, identityKey, accountKey),

  async prolong(identityKey, until) {
    await redis.one(() => redis.client.zadd(endsKey(redis), 'GT', until, name(identityKey)))
  },

  async identities({ after, limit }) {
    const found: IdentityEntry[] = []
    for (let last = after; found.length < limit; ) {
      const wanted = limit - found.length
      const start = last === undefined ? '-' : `(${name(last)}`
      const page = await redis.one(() =>
        redis.client.zrangebylex(indexKey(redis), start, '+', 'LIMIT', 0, wanted),
      )
      if (page.length === 0) break
      const names = page.map((cursor) => cursor.split(' '))
      const entries = await redis.batch(() =>
        names.map(([identityKey = '', accountKey = '']) =>
          redis.client.hmget(identityAt(redis, identityKey), accountKey, DEFAULT_FIELD),
        ),
      )
      for (const [at, [identityKey = '', accountKey = '']] of names.entries()) {
        const [json, theDefault] = entries[at] ?? []
        // Entered but not written yet, or just removed.
        if (json != null) found.push(parseIdentity(json, identityKey, accountKey, theDefault === accountKey))
      }
      last = page.at(-1)
    }
    return found
  },
})

const inviteVerbs = (
  redis: RedisConnection,
): Pick<KeysStore, 'registerInvite' | 'invite' | 'unregisterInvite'> => ({
  async registerInvite(accountKey, { inviteKey, account, identityKey }) {
    const at = inviteAt(redis, accountKey)
    await redis.one(() => redis.client.zadd(registeredAt(redis, identityKey), 0, accountKey))
    await redis.one(() => redis.client.set(at, JSON.stringify({ inviteKey, account, identityKey })))
  },

  async invite(accountKey) {
    const json = await redis.one(() => redis.client.get(inviteAt(redis, accountKey)))
    if (json === null) return undefined
    const entry = parseInvite(json)
    return (await counts(redis, accountKey, entry)) ? entry : undefined
  },

  async unregisterInvite(accountKey) {
    const json = await redis.one(() => redis.client.get(inviteAt(redis, accountKey)))
    if (json === null) return false
    const entry = parseInvite(json)
    const counted = await counts(redis, accountKey, entry)
    return (await removeInvite(redis, accountKey, json)) && counted
  },
})

const sweepVerbs = (redis: RedisConnection): Pick<KeysStore, 'sweep'> => ({
  async sweep(now, limit) {
    const over = await redis.one(() =>
      redis.client.zrangebyscore(endsKey(redis), '-inf', now, 'LIMIT', 0, limit),
    )
    for (const identityKey of over) {
      // Used a moment ago, after a year.
      if (Number(await redis.one(() => redis.client.zscore(endsKey(redis), identityKey))) > now) continue
      const accounts = await redis.one(() => redis.client.hkeys(identityAt(redis, identityKey)))
      for (const account of accounts)
        if (account !== DEFAULT_FIELD) await removeEntry(redis, identityKey, account)
      await redis.one(() => redis.client.zrem(endsKey(redis), identityKey))
    }
    return over.length
  },
})

export const createRedisKeys = (redis: RedisConnection): KeysStore => ({
  ...identityVerbs(redis),
  ...inviteVerbs(redis),
  ...sweepVerbs(redis),
})
