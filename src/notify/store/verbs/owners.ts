/** Whose a topic and a watcher is: hints, which count as far as the record of the account says the same. */
import { DAY_MS } from '../../../platform/units.ts'
import type { Batch, Kv, Write } from '../../../storage/kv.ts'
import { ask, read } from '../../../storage/table.ts'
import type { AccountRecord, Subscription } from '../records.ts'
import type { NotifyStore, TopicOwner } from '../store.ts'
import type { Steps, VerbDeps } from './deps.ts'
import { ACCOUNTS, type OwnerNames, partitionOf, topicOwner, watcherOwner } from './tables.ts'

/** How long hints stay after what they are about has expired: for a server that was off. */
const MARGIN_MS = 30 * DAY_MS
/** What is prolonged by less keeps its hint. */
const HINT_STEP_MS = 10 * DAY_MS
const hintEnd = (expiresAt: number): number => Math.ceil(expiresAt / HINT_STEP_MS) * HINT_STEP_MS + MARGIN_MS
/** Accounts that may have a watcher; all but one have lost it. */
const MAX_CANDIDATES = 4
/** Stands for the owner of a topic that is nobody's. */
const NOBODY: OwnerNames = ['nobody', '']

/** Hints of what is new in the record, or of a watcher that ends at another time. */
export function* ownerHints(accountKey: string, old: AccountRecord, next: AccountRecord): Steps<Write[]> {
  const subscriptions = next.subscriptions.filter(
    ({ id, topic }) => !old.subscriptions.some((one) => one.id === id && one.topic === topic),
  )
  const topics = subscriptions.map(({ id, topic }) => {
    const { set, key } = topicOwner(topic)
    return set.put({ key, value: [accountKey, id] })
  })
  const former = (identityKey: string) => old.watchers.find((one) => one.identityKey === identityKey)
  const watchers = next.watchers.filter(({ identityKey, expiresAt }) => {
    const before = former(identityKey)
    return !before || hintEnd(before.expiresAt) !== hintEnd(expiresAt)
  })
  if (watchers.length === 0) return topics
  const found = yield* ask(watchers.map(({ identityKey }) => watcherOwner(identityKey).get()))
  return [
    ...topics,
    ...watchers.map(({ identityKey, expiresAt }, nth) => {
      const candidates = found[nth]?.value?.accounts ?? []
      const others = candidates.filter((one) => one !== accountKey)
      // One that stays may have moved to another account meanwhile, which it belongs to then.
      const value =
        former(identityKey) && others.length < candidates.length ? candidates : [accountKey, ...others]
      const accounts = value.slice(0, MAX_CANDIDATES)
      const end = hintEnd(expiresAt)
      return watcherOwner(identityKey).put({ value: { accounts, expiresAt: end }, expiresAt: end })
    }),
  ]
}

/** Who has the topics, in their order; undefined for one that has ended. */
export const liveOwners = async (
  kv: Pick<Kv, 'read'>,
  topics: readonly string[],
): Promise<(TopicOwner | undefined)[]> => {
  const rows = topics.map(topicOwner)
  const owners = await read(
    kv,
    rows.map(({ set, key }) => set.get(key)),
  )
  const accounts = await read(
    kv,
    owners.map(({ value: [accountKey] = NOBODY }) => ACCOUNTS.in(partitionOf(accountKey), accountKey).get()),
  )
  return topics.map((topic, nth) => {
    const [accountKey, subscriptionId] = owners[nth]?.value ?? NOBODY
    const { subscriptions = [] } = accounts[nth]?.value?.record ?? {}
    const isLive = subscriptions.some((one) => one.id === subscriptionId && one.topic === topic)
    return isLive ? { accountKey, subscriptionId } : undefined
  })
}

/** Removes hints of what has ended, unless the topic is somebody's anew. */
export const forgetTopics = async (
  { kv, clock }: Pick<VerbDeps, 'kv' | 'clock'>,
  accountKey: string,
  ended: readonly Pick<Subscription, 'id' | 'topic'>[],
): Promise<void> => {
  if (ended.length === 0) return
  const batches = ended.map(({ id, topic }): Batch => {
    const { set, key } = topicOwner(topic)
    const { partition } = set.name
    return { partition, checks: [set.is(key, [accountKey, id])], writes: [set.remove(key)], isRelief: true }
  })
  await kv.commit(batches, clock.now())
}

export const createOwners = (
  { kv }: Pick<VerbDeps, 'kv'>,
  { account }: Pick<NotifyStore, 'account'>,
): Pick<NotifyStore, 'topicOwner' | 'watcherOwner'> => ({
  async topicOwner(topic) {
    const [owner] = await liveOwners(kv, [topic])
    return owner
  },

  async watcherOwner(identityKey) {
    const [{ value: owner }] = await read(kv, [watcherOwner(identityKey).get()])
    for (const accountKey of owner?.accounts ?? []) {
      const { record } = await account(accountKey)
      if (record.watchers.some((one) => one.identityKey === identityKey)) return accountKey
    }
    return undefined
  },
})
