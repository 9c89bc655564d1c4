import type { AccountRecord, NotifyStore, RequestId, Subscription } from '../../../notify/store/store.ts'
import { behind, endOf, key, name, named, number } from '../../bytes.ts'
import { PRESENT } from '../bytes.ts'
import type { Env } from '../env.ts'
import type { Outbox } from './outbox.ts'
import { expiryKey, nextNumber, pageOf, type Tables } from './tables.ts'

type Accounts = Pick<
  NotifyStore,
  | 'account'
  | 'commit'
  | 'wasCommitted'
  | 'topicOwner'
  | 'accountAt'
  | 'watcherOwner'
  | 'subscribers'
  | 'subscriberCount'
  | 'topics'
  | 'accountsDue'
>

const EMPTY_RECORD: AccountRecord = { subscriptions: [], watchers: [] }

/** When the first thing of the account expires. */
const soonest = ({ subscriptions, watchers }: AccountRecord): number =>
  Math.min(...[...subscriptions, ...watchers].map(({ expiresAt }) => expiresAt))

/** Whether a request came before, or its token in another one. Within a transaction. */
export const knownRequest = (tables: Tables, { id, token }: RequestId): 'repeated' | 'used' | undefined => {
  if (tables.requests.get(name(id)) !== undefined) return 'repeated'
  return token !== undefined && tables.requests.get(name(token)) !== undefined ? 'used' : undefined
}

/** Remembers a request and its token, neither of which is known. Within a transaction. */
export const rememberRequest = (tables: Tables, { id, token, expiresAt }: RequestId): void => {
  for (const one of token === undefined ? [id] : [id, token]) {
    const at = name(one)
    tables.requests.put(at, expiresAt)
    tables.expiry.put(expiryKey(expiresAt, 'request', at), PRESENT)
  }
}

interface AccountsDeps {
  env: Env
  tables: Tables
  outbox: Outbox
}

const endSubscription = (
  deps: AccountsDeps,
  accountKey: string,
  { id, topic, domain }: Subscription,
  next: AccountRecord,
) => {
  const still = next.subscriptions.some((one) => one.id === id)
  if (
    !next.subscriptions.some((one) => one.topic === topic) &&
    deps.tables.topics.get(name(topic))?.[1] === id
  ) {
    deps.tables.topics.remove(name(topic))
  }
  if (!next.subscriptions.some((one) => one.domain === domain)) {
    deps.tables.subscribers.remove(named(domain, name(accountKey)))
  }
  const row = still ? undefined : deps.tables.subscriptions.get(name(id))
  if (!row) return
  // A long history takes a while to remove: from here on no read finds it, and `sweep` removes it in pieces.
  deps.tables.subscriptions.remove(name(id))
  deps.tables.numbers.remove(number(row[0]))
  deps.tables.gone.put(number(row[0]), PRESENT)
}

const beginSubscription = (deps: AccountsDeps, accountKey: string, { id, topic, domain }: Subscription) => {
  deps.tables.topics.put(name(topic), [accountKey, id])
  deps.tables.subscribers.put(named(domain, name(accountKey)), PRESENT)
  if (deps.tables.subscriptions.get(name(id))) return
  const n = nextNumber(deps.tables, 'subscription')
  deps.tables.subscriptions.put(name(id), [n, accountKey, 0])
  deps.tables.numbers.put(number(n), id)
}

const bringIndexes = (deps: AccountsDeps, accountKey: string, old: AccountRecord, next: AccountRecord) => {
  const stays = (a: Subscription) => (b: Subscription) =>
    a.id === b.id && a.topic === b.topic && a.domain === b.domain
  for (const one of old.subscriptions) {
    if (!next.subscriptions.some(stays(one))) endSubscription(deps, accountKey, one, next)
  }
  for (const one of next.subscriptions) {
    if (!old.subscriptions.some(stays(one))) beginSubscription(deps, accountKey, one)
  }
  const watches = ({ watchers }: AccountRecord, identityKey: string) =>
    watchers.some((watcher) => watcher.identityKey === identityKey)
  for (const { identityKey } of old.watchers) {
    // A watcher that moved to another account belongs to that one already.
    if (!watches(next, identityKey) && deps.tables.watchers.get(name(identityKey)) === accountKey)
      deps.tables.watchers.remove(name(identityKey))
  }
  for (const { identityKey } of next.watchers) {
    if (!watches(old, identityKey)) deps.tables.watchers.put(name(identityKey), accountKey)
  }
  const before = soonest(old)
  const after = soonest(next)
  if (before === after) return
  if (before !== Number.POSITIVE_INFINITY) deps.tables.due.remove(key(number(before), name(accountKey)))
  if (after !== Number.POSITIVE_INFINITY) deps.tables.due.put(key(number(after), name(accountKey)), PRESENT)
}

/** Every name that a commit makes a key of, tried before the transaction begins. */
const check = (accountKey: string, { subscriptions, watchers }: AccountRecord) => {
  for (const text of [
    accountKey,
    ...subscriptions.flatMap(({ id, topic, domain }) => [id, topic, domain]),
    ...watchers.map(({ identityKey }) => identityKey),
  ]) {
    name(text)
  }
}

const commitVerbs = (deps: AccountsDeps): Pick<Accounts, 'commit' | 'wasCommitted'> => ({
  async commit({ accountKey, expectedVersion, record, requestId, outbox: entries }) {
    check(accountKey, record)
    if (requestId) name(requestId.id)
    const at = name(accountKey)
    const outcome = await deps.env.transaction(() => {
      const known = requestId && knownRequest(deps.tables, requestId)
      if (known) return known
      const old = deps.tables.accounts.get(at)
      if ((old?.version ?? 0) !== expectedVersion) return 'conflict'
      if (requestId) rememberRequest(deps.tables, requestId)
      bringIndexes(deps, accountKey, old?.record ?? EMPTY_RECORD, record)
      if (record.subscriptions.length + record.watchers.length > 0) {
        deps.tables.accounts.put(at, { version: nextNumber(deps.tables, 'version'), record })
      } else if (old) deps.tables.accounts.remove(at)
      deps.outbox.add(entries)
      return 'committed'
    })
    if (outcome === 'committed' && entries.length > 0) deps.outbox.ring()
    return outcome
  },

  async wasCommitted(requestId, now) {
    return (deps.tables.requests.get(name(requestId)) ?? 0) > now
  },
})

const lookupVerbs = (
  deps: AccountsDeps,
): Pick<Accounts, 'account' | 'topicOwner' | 'accountAt' | 'watcherOwner'> => ({
  async account(accountKey) {
    return deps.tables.accounts.get(name(accountKey)) ?? { version: 0, record: EMPTY_RECORD }
  },

  async topicOwner(topic) {
    const row = deps.tables.topics.get(name(topic))
    return row && { accountKey: row[0], subscriptionId: row[1] }
  },

  async accountAt(topic) {
    const accountKey = deps.tables.topics.get(name(topic))?.[0]
    const account = accountKey === undefined ? undefined : deps.tables.accounts.get(name(accountKey))
    return accountKey !== undefined && account ? { accountKey, ...account } : undefined
  },

  async watcherOwner(identityKey) {
    return deps.tables.watchers.get(name(identityKey))
  },
})

const listVerbs = (
  deps: AccountsDeps,
): Pick<Accounts, 'subscribers' | 'subscriberCount' | 'topics' | 'accountsDue'> => ({
  async subscribers(domain, { after, limit }) {
    const prefix = named(domain)
    const start = after === undefined ? prefix : behind(named(domain, name(after)))
    const found: { accountKey: string; subscription: Subscription }[] = []
    for (const at of deps.tables.subscribers.getKeys({ start, end: endOf(prefix), limit })) {
      const accountKey = at.toString('utf8', prefix.length)
      const record = deps.tables.accounts.get(name(accountKey))?.record
      const subscription = record?.subscriptions.find((one) => one.domain === domain)
      if (subscription) found.push({ accountKey, subscription })
    }
    return found
  },

  async subscriberCount(domain) {
    const prefix = named(domain)
    return deps.tables.subscribers.getKeysCount({ start: prefix, end: endOf(prefix) })
  },

  async topics(page) {
    return [...deps.tables.topics.getKeys(pageOf(page))].map((at) => at.toString())
  },

  async accountsDue(now, limit) {
    return [...deps.tables.due.getKeys({ end: endOf(number(now)), limit })].map((at) =>
      at.toString('utf8', 8),
    )
  },
})

/**
 * Accounts. The record is written whole; what can be looked up by something else (a topic, a watcher's identity key,
 * an app's subscribers, the next expiry) is an index that each commit brings from the old record to the new one.
 * Versions come from one counter for all accounts, so that an account that went and came back never repeats one.
 */
export const createLmdbAccounts = (env: Env, tables: Tables, outbox: Outbox): Accounts => {
  const deps: AccountsDeps = { env, tables, outbox }

  return {
    ...commitVerbs(deps),
    ...lookupVerbs(deps),
    ...listVerbs(deps),
  }
}
