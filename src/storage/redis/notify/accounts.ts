import type { AccountRecord, NotifyStore, Subscription } from '../../../notify/store/store.ts'
import { createBoundedMap } from '../bounded-map.ts'
import { commitScript } from '../lua/notify/accounts/commit.ts'
import type { NotifyDeps } from './deps.ts'
import type { Account, Lookups, Pointer } from './lookups.ts'
import type { Outbox } from './outbox.ts'
import type { Requests } from './requests.ts'
import { ALL, MARGIN, name, PARTITIONS, type Partition, partitionOf } from './rows/layout.ts'
import { packAccount, packTopic, unpackAccount, unpackTopic } from './rows/packing.ts'
import { mergePages } from './rows/pages.ts'
import { writeRecord } from './rows/records.ts'

type Accounts = Pick<
  NotifyStore,
  | 'account'
  | 'commit'
  | 'wasCommitted'
  | 'topicOwner'
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

/**
 * Accounts. What a commit changes in the indexes follows from the old record and the new one. It is worked out here:
 * a version never comes twice, so the record that was read under the expected version is the one that the script finds.
 */
export const createRedisAccounts = (
  deps: NotifyDeps,
  lookups: Lookups,
  requests: Requests,
  outbox: Outbox,
): Accounts => {
  const { redis, ask, layout, clock, whereabouts } = deps
  const { client } = redis
  /** Accounts that were read lately: who commits has just done so. */
  const lately = createBoundedMap<Account>(1_000)

  const account = async (accountKey: string): Promise<Account> => {
    const found = await lookups.account(accountKey)
    if (found.version > 0) lately.put(accountKey, found)
    return found
  }

  /** The look-ups that must be there before the commit: those of what is new, or lives longer now. */
  const pointersOf = (old: AccountRecord, next: AccountRecord): Pointer[] => {
    const topics = new Map(old.subscriptions.map(({ topic, expiresAt }) => [topic, expiresAt]))
    const watchers = new Map(old.watchers.map(({ identityKey, expiresAt }) => [identityKey, expiresAt]))
    return [
      ...next.subscriptions
        .filter(({ topic, expiresAt }) => (topics.get(topic) ?? 0) < expiresAt)
        .map(({ topic, expiresAt }) => ({
          key: layout.topicLookup(topic),
          expiresAt,
          kind: 'only' as const,
        })),
      ...next.watchers
        .filter(({ identityKey, expiresAt }) => (watchers.get(identityKey) ?? 0) < expiresAt)
        .map(({ identityKey, expiresAt }) => ({
          key: layout.watcherLookup(identityKey),
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

  return {
    account,

    async commit({ accountKey, expectedVersion, record, requestId, outbox: entries }) {
      check(accountKey, record)
      const p = partitionOf(accountKey)
      const at = layout.partition(p)
      let old = lately.get(accountKey)
      if (old?.version !== expectedVersion) old = await account(accountKey)
      if (old.version !== expectedVersion) {
        const was = requestId && (await requests.expiryOf(requestId.id))
        return was === undefined ? 'conflict' : 'repeated'
      }

      const pointers = pointersOf(old.record, record)
      await lookups.point(accountKey, pointers)

      const now = clock.now()
      const { keys, plan } = planOf(at, old.record, record)
      const own = expiries(record)
      const isEmpty = own.length === 0
      const ttl = (latest: number) => Math.max(latest - now, 0) + MARGIN.account
      const script = () =>
        redis.script(
          commitScript,
          [
            ...[at.entries, at.free, at.order, at.account(accountKey), at.version, at.due, at.topics],
            ...[at.gone, at.expiring, ...requests.keys(at, requestId)],
            ...keys,
          ],
          [
            ...[packAccount(accountKey), expectedVersion, isEmpty ? '' : writeRecord(record, accountKey)],
            ...(isEmpty ? [0, 0] : [Math.min(...own), ttl(Math.max(...own))]),
            ttl(Math.max(now, ...own, ...expiries(old.record))),
            ...requests.args(requestId),
            outbox.ttlOf(entries),
            JSON.stringify(plan),
            ...outbox.args(entries),
          ],
        )
      const [outcome] = await Promise.all([ask(script), requests.point(p, requestId)])
      lately.remove(accountKey)
      if (outcome === 'conflict' || outcome === 'repeated' || outcome === 'used') return outcome
      if (outcome !== 'committed') throw new Error(`A commit was answered with ${outcome}`)
      whereabouts.learn(accountKey, record)
      // It is committed, whatever becomes of this.
      const movable = pointers.filter(({ kind }) => kind === 'new')
      await lookups.point(accountKey, movable).catch(() => {})
      if (entries.length > 0) outbox.ring()
      return 'committed'
    },

    async wasCommitted(requestId, now) {
      return ((await requests.expiryOf(requestId)) ?? 0) > now
    },

    async topicOwner(topic) {
      const listens = ({ subscriptions }: AccountRecord) => subscriptions.find((one) => one.topic === topic)
      const owner = await lookups.resolve(layout.topicLookup(topic), (record) => !!listens(record))
      const subscription = owner && listens(owner.record)
      return subscription && { accountKey: owner.accountKey, subscriptionId: subscription.id }
    },

    async watcherOwner(identityKey) {
      const owner = await lookups.resolve(layout.watcherLookup(identityKey), ({ watchers }) =>
        watchers.some((watcher) => watcher.identityKey === identityKey),
      )
      return owner?.accountKey
    },

    async subscribers(domain, { after, limit }) {
      const lists = layout.listsOf(domain)
      const found: { accountKey: string; subscription: Subscription }[] = []
      // Who left between the two looks is missing in the second: a page is short only at the end.
      for (let from = after && packAccount(after); found.length < limit; ) {
        const wanted = limit - found.length
        const page = await mergePages({ after: from, limit: wanted }, (parts) =>
          Promise.all(
            parts.map((part) =>
              ask(() => client.zrangebylex(lists(part.p), start(part.after), '+', 'LIMIT', 0, part.limit)),
            ),
          ),
        )
        const accountKeys = page.map(unpackAccount)
        const records = await Promise.all(accountKeys.map(lookups.account))
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
      const lists = layout.listsOf(domain)
      const counts = await Promise.all(ALL.map((p) => ask(() => client.zcard(lists(p)))))
      return counts.reduce((sum, count) => sum + count, 0)
    },

    async topics({ after, limit }) {
      const page = { limit, ...(after !== undefined && { after: packTopic(after) }) }
      const packed = await mergePages(page, (parts) =>
        Promise.all(
          parts.map(({ p, after, limit }) =>
            ask(() => client.zrangebylex(layout.partition(p).topics, start(after), '+', 'LIMIT', 0, limit)),
          ),
        ),
      )
      return packed.map(unpackTopic)
    },

    async accountsDue(now, limit) {
      const due = (partitions: readonly number[], most: number) =>
        Promise.all(
          partitions.map((p) =>
            ask(() => client.zrangebyscore(layout.partition(p).due, '-inf', now, 'LIMIT', 0, most)),
          ),
        )
      const share = Math.min(limit, Math.ceil((2 * limit) / PARTITIONS) + 8)
      const found = await due(ALL, share)
      let all = found.flat()
      if (all.length < limit) {
        // All that is due, or it lies unevenly.
        const full = ALL.filter((p) => share < limit && found[p]?.length === share)
        const rest = await due(full, limit)
        all = [...found.filter((_, p) => !full.includes(p)), ...rest].flat()
      }
      return all.slice(0, limit).map(unpackAccount)
    },
  }
}

const start = (after: string | undefined): string => (after === undefined ? '-' : `(${after}`)
