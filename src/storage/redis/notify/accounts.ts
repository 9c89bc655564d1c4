import type { AccountRecord, NotifyStore, Subscription } from '../../../notify/store/store.ts'
import { type BoundedMap, createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import { commitScript } from '../lua/notify/accounts/commit.ts'
import type { NotifyDeps } from './deps.ts'
import type { Account, Lookups, Pointer } from './lookups.ts'
import type { Outbox } from './outbox.ts'
import type { Requests } from './requests.ts'
import { ALL, name, PARTITIONS, type Partition, partitionOf, TTL_MARGIN_MS } from './rows/layout.ts'
import { packAccount, packTopic, unpackAccount, unpackTopic } from './rows/packing.ts'
import { mergePages, type Part } from './rows/pages.ts'
import { writeRecord } from './rows/records.ts'

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

const expiries = ({ subscriptions, watchers }: AccountRecord): number[] =>
  [...subscriptions, ...watchers].map(({ expiresAt }) => expiresAt)

/** What is in `a` and not in `b`. */
const without = (a: Iterable<string>, b: Iterable<string>): string[] => {
  const others = new Set(b)
  return [...new Set(a)].filter((one) => !others.has(one))
}

/** What is left to sweep after something ended: its kind, its name. */
export const GONE = { history: 's', topic: 't', watcher: 'w' } as const

/** Entries of the cache of accounts that were just read. */
const RECENT_ACCOUNTS = 1_000

interface AccountsDeps extends NotifyDeps {
  lookups: Lookups
  requests: Requests
  outbox: Outbox
  /** Accounts as they were last read: a commit follows a read. */
  recent: BoundedMap<Account>
}

const account = async (deps: AccountsDeps, accountKey: string): Promise<Account> => {
  const found = await deps.lookups.account(accountKey)
  if (found.version > 0) deps.recent.put(accountKey, found)
  return found
}

/** The look-ups that must be there before the commit: those of what is new, or lives longer now. */
const pointersOf = (deps: AccountsDeps, old: AccountRecord, next: AccountRecord): Pointer[] => {
  const topics = new Map(old.subscriptions.map(({ topic, expiresAt }) => [topic, expiresAt]))
  const watchers = new Map(old.watchers.map(({ identityKey, expiresAt }) => [identityKey, expiresAt]))
  return [
    ...next.subscriptions
      .filter(({ topic, expiresAt }) => (topics.get(topic) ?? 0) < expiresAt)
      .map(({ topic, expiresAt }) => ({
        key: deps.layout.topicLookup(topic),
        expiresAt,
        kind: 'only' as const,
      })),
    ...next.watchers
      .filter(({ identityKey, expiresAt }) => (watchers.get(identityKey) ?? 0) < expiresAt)
      .map(({ identityKey, expiresAt }) => ({
        key: deps.layout.watcherLookup(identityKey),
        expiresAt,
        kind: watchers.has(identityKey) ? ('old' as const) : ('new' as const),
      })),
  ]
}

/** What the script is to do to the partition's indexes, and the keys that it needs for that. */
const planOf = (at: Partition, old: AccountRecord, next: AccountRecord) => {
  const of = (pick: (one: Subscription) => string) =>
    [old.subscriptions.map(pick), next.subscriptions.map(pick)] as const
  const [oldTopics, topics] = of(({ topic }) => topic)
  const [oldDomains, domains] = of(({ domain }) => domain)
  const [oldIds, ids] = of(({ id }) => id)
  const watchers = (record: AccountRecord) => record.watchers.map(({ identityKey }) => identityKey)
  const leave = without(oldTopics, topics)
  const endedIds = without(oldIds, ids)
  const keys: string[] = []
  const place = (...more: string[]) => keys.push(...more) - more.length + 12
  return {
    keys,
    plan: {
      join: without(topics, oldTopics).map(packTopic),
      leave: leave.map(packTopic),
      list: without(domains, oldDomains).map((domain) => place(at.list(domain))),
      unlist: without(oldDomains, domains).map((domain) => place(at.list(domain))),
      ended: endedIds.map((id) => [id, place(...at.copies(id), at.ended(id))]),
      gone: [
        ...endedIds.map((id) => `${GONE.history}${id}`),
        ...leave.map((topic) => `${GONE.topic}${packTopic(topic)}`),
        ...without(watchers(old), watchers(next)).map((key) => `${GONE.watcher}${key}`),
      ],
    },
  }
}

/** Every name that a commit makes a key of. */
const check = (accountKey: string, { subscriptions, watchers }: AccountRecord) => {
  for (const text of [
    accountKey,
    ...subscriptions.flatMap(({ id, topic, domain }) => [id, topic, domain]),
    ...watchers.map(({ identityKey }) => identityKey),
  ]) {
    name(text)
  }
}

const commitVerbs = (deps: AccountsDeps): Pick<Accounts, 'account' | 'commit' | 'wasCommitted'> => ({
  account: (accountKey) => account(deps, accountKey),

  async commit({ accountKey, expectedVersion, record, requestId, outbox: entries }) {
    check(accountKey, record)
    const p = partitionOf(accountKey)
    const at = deps.layout.partition(p)
    let old = deps.recent.get(accountKey)
    if (old?.version !== expectedVersion) old = await account(deps, accountKey)
    if (old.version !== expectedVersion) {
      const was = requestId && (await deps.requests.expiryOf(requestId.id))
      return was === undefined ? 'conflict' : 'repeated'
    }

    const pointers = pointersOf(deps, old.record, record)
    await deps.lookups.point(accountKey, pointers)

    const now = deps.clock.now()
    const { keys, plan } = planOf(at, old.record, record)
    const own = expiries(record)
    const isEmpty = own.length === 0
    const ttl = (latest: number) => Math.max(latest - now, 0) + TTL_MARGIN_MS.account
    const script = () =>
      deps.redis.script(
        commitScript,
        [
          ...[at.entries, at.free, at.order, at.account(accountKey), at.version, at.due, at.topics],
          ...[at.gone, at.expiring, ...deps.requests.keys(at, requestId)],
          ...keys,
        ],
        [
          ...[packAccount(accountKey), expectedVersion, isEmpty ? '' : writeRecord(record, accountKey)],
          ...(isEmpty ? [0, 0] : [Math.min(...own), ttl(Math.max(...own))]),
          ttl(Math.max(now, ...own, ...expiries(old.record))),
          ...deps.requests.args(requestId),
          deps.outbox.ttlOf(entries),
          JSON.stringify(plan),
          ...deps.outbox.args(entries),
        ],
      )
    const [outcome] = await Promise.all([deps.ask(script), deps.requests.point(p, requestId)])
    deps.recent.remove(accountKey)
    if (outcome === 'conflict' || outcome === 'repeated' || outcome === 'used') return outcome
    if (outcome !== 'committed') throw new Error(`A commit was answered with ${outcome}`)
    deps.partitions.learn(accountKey, record)
    // It is committed, whatever becomes of this.
    const movable = pointers.filter(({ kind }) => kind === 'new')
    await deps.lookups.point(accountKey, movable).catch(() => {})
    if (entries.length > 0) deps.outbox.ring()
    return 'committed'
  },

  async wasCommitted(requestId, now) {
    return ((await deps.requests.expiryOf(requestId)) ?? 0) > now
  },
})

const listening = ({ subscriptions }: AccountRecord, topic: string) =>
  subscriptions.find((one) => one.topic === topic)

const ownerVerbs = (deps: AccountsDeps): Pick<Accounts, 'topicOwner' | 'accountAt' | 'watcherOwner'> => ({
  async topicOwner(topic) {
    const owner = await deps.lookups.resolve(
      deps.layout.topicLookup(topic),
      (record) => !!listening(record, topic),
    )
    const subscription = owner && listening(owner.record, topic)
    return subscription && { accountKey: owner.accountKey, subscriptionId: subscription.id }
  },

  async accountAt(topic) {
    const owner = await deps.lookups.resolve(
      deps.layout.topicLookup(topic),
      (record) => !!listening(record, topic),
    )
    if (owner) deps.recent.put(owner.accountKey, owner)
    return owner
  },

  async watcherOwner(identityKey) {
    const owner = await deps.lookups.resolve(deps.layout.watcherLookup(identityKey), ({ watchers }) =>
      watchers.some((watcher) => watcher.identityKey === identityKey),
    )
    return owner?.accountKey
  },
})

const start = (after: string | undefined): string => (after === undefined ? '-' : `(${after}`)

/** The names of a list that these partitions have. */
const namesIn = (deps: AccountsDeps, keyOf: (p: number) => string, parts: readonly Part[]) =>
  Promise.all(
    parts.map(({ p, after, limit }) =>
      deps.ask(() => deps.redis.client.zrangebylex(keyOf(p), start(after), '+', 'LIMIT', 0, limit)),
    ),
  )

/** At most `limit` accounts of each partition that are due. */
const dueIn = (deps: AccountsDeps, partitions: readonly number[], now: number, limit: number) =>
  Promise.all(
    partitions.map((p) =>
      deps.ask(() =>
        deps.redis.client.zrangebyscore(deps.layout.partition(p).due, '-inf', now, 'LIMIT', 0, limit),
      ),
    ),
  )

const listVerbs = (
  deps: AccountsDeps,
): Pick<Accounts, 'subscribers' | 'subscriberCount' | 'topics' | 'accountsDue'> => ({
  async subscribers(domain, { after, limit }) {
    const lists = deps.layout.listsOf(domain)
    const found: { accountKey: string; subscription: Subscription }[] = []
    // A subscriber that left between the two reads is missing in the second: only the last page is short.
    for (let from = after && packAccount(after); found.length < limit; ) {
      const wanted = limit - found.length
      const page = await mergePages({ after: from, limit: wanted }, (parts) => namesIn(deps, lists, parts))
      const accountKeys = page.map(unpackAccount)
      const records = await Promise.all(accountKeys.map(deps.lookups.account))
      for (const [at, accountKey] of accountKeys.entries()) {
        const subscription = records[at]?.record.subscriptions.find((one) => one.domain === domain)
        if (subscription) found.push({ accountKey, subscription })
      }
      if (page.length < wanted) break
      from = page.at(-1)
    }
    return found
  },

  async subscriberCount(domain) {
    const lists = deps.layout.listsOf(domain)
    const counts = await Promise.all(ALL.map((p) => deps.ask(() => deps.redis.client.zcard(lists(p)))))
    return counts.reduce((sum, count) => sum + count, 0)
  },

  async topics({ after, limit }) {
    const page = { limit, ...(after !== undefined && { after: packTopic(after) }) }
    const topicsOf = (p: number) => deps.layout.partition(p).topics
    const packed = await mergePages(page, (parts) => namesIn(deps, topicsOf, parts))
    return packed.map(unpackTopic)
  },

  async accountsDue(now, limit) {
    const share = Math.min(limit, Math.ceil((2 * limit) / PARTITIONS) + 8)
    const found = await dueIn(deps, ALL, now, share)
    let all = found.flat()
    if (all.length < limit) {
      // All that is due, or it lies unevenly.
      const full = ALL.filter((p) => share < limit && found[p]?.length === share)
      const rest = await dueIn(deps, full, now, limit)
      all = [...found.filter((_, p) => !full.includes(p)), ...rest].flat()
    }
    return all.slice(0, limit).map(unpackAccount)
  },
})

/**
 * Accounts. What a commit changes in the indexes follows from the old record and the new one. It is worked out here:
 * a version never comes twice, so the record that was read under the expected version is the one that the script finds.
 */
export const createRedisAccounts = (
  shared: NotifyDeps,
  lookups: Lookups,
  requests: Requests,
  outbox: Outbox,
): Accounts => {
  const deps: AccountsDeps = {
    ...shared,
    lookups,
    requests,
    outbox,
    recent: createBoundedMap<Account>(RECENT_ACCOUNTS),
  }

  return {
    ...commitVerbs(deps),
    ...ownerVerbs(deps),
    ...listVerbs(deps),
  }
}
