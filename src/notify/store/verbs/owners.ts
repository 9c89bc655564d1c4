/** Whose a topic and a watcher is: hints, which count as far as the record of the account says the same. */
import { DAY_MS } from '../../../platform/units.ts'
import { name } from '../../../storage/bytes.ts'
import type { Write } from '../../../storage/kv.ts'
import { ask, read } from '../../../storage/table.ts'
import type { AccountRecord } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import type { Steps, VerbDeps } from './deps.ts'
import { partitionOf, TOPICS, topicOwner, watcherOwner } from './tables.ts'

/** How long hints stay after what they are about has expired: for a server that was off. */
const MARGIN_MS = 30 * DAY_MS
/** What is prolonged by less keeps its hint. */
const HINT_STEP_MS = 10 * DAY_MS
const hintEnd = (expiresAt: number): number => Math.ceil(expiresAt / HINT_STEP_MS) * HINT_STEP_MS + MARGIN_MS
/** Accounts that may have a watcher; all but one have lost it. */
const MAX_CANDIDATES = 4

/** Hints of what is new in the record, or ends at another time. */
export function* ownerHints(accountKey: string, old: AccountRecord, next: AccountRecord): Steps<Write[]> {
  const subscriptions = next.subscriptions.filter(
    ({ id, topic, expiresAt }) =>
      !old.subscriptions.some(
        (one) => one.id === id && one.topic === topic && hintEnd(one.expiresAt) === hintEnd(expiresAt),
      ),
  )
  const topics = subscriptions.map(({ id, topic, expiresAt }) =>
    topicOwner(topic).put({ value: [accountKey, id], expiresAt: hintEnd(expiresAt) }),
  )
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

export const createOwners = (
  { kv }: Pick<VerbDeps, 'kv'>,
  { account }: Pick<NotifyStore, 'account'>,
): Pick<NotifyStore, 'topicOwner' | 'watcherOwner'> => ({
  async topicOwner(topic) {
    const [{ value: owner }] = await read(kv, [topicOwner(topic).get()])
    if (!owner) return undefined
    const [accountKey, subscriptionId] = owner
    // The list of topics changes with the record, and is less to read.
    const [{ value: isListed }] = await read(kv, [TOPICS.in(partitionOf(accountKey)).get(name(topic))])
    return isListed && { accountKey, subscriptionId }
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
