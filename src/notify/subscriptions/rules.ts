/**
 * The rules of protocol.md §6 about one address, as pure functions: an account record and a wish in, the next record
 * out. They know no store, no keys in clear and no clock; whoever calls commits what they answer.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import type { AccountRecord, Sealed, Subscription, Watcher } from '../store/store.ts'

const DAY = 86_400_000
/** How long a subscription lives after it was made or updated, ms. */
export const SUBSCRIPTION_LIFE = 30 * DAY
/** How long a watcher lives after it last watched, ms. */
export const WATCHER_LIFE = DAY
/** Live watchers of one address with the same scope: all apps, or one app. */
export const MOST_WATCHERS = 25

const isLive = (held: { expiresAt: number }, now: number): boolean => held.expiresAt > now

/** A key of a new subscription, and what comes with it; used only when the account has none for the app. */
export interface FreshSubscription {
  id: string
  key: Sealed
  topic: string
}

/**
 * Subscribes to an app, or replaces the scope of the subscription that is there. A live one keeps its key, id and
 * topic; one that has expired, swept or not, is as good as gone: the new one does not inherit its key.
 */
export const subscribe = (
  record: AccountRecord,
  wish: { domain: string; scope: string[]; account: string; fresh: FreshSubscription; now: number },
): { record: AccountRecord; subscription: Subscription; ended?: Subscription } => {
  const { domain, scope, account, fresh, now } = wish
  const known = record.subscriptions.find((held) => held.domain === domain)
  const kept = known && isLive(known, now) ? known : undefined
  const subscription: Subscription = {
    ...(kept ?? { ...fresh, domain, createdAt: now }),
    scope,
    account,
    expiresAt: now + SUBSCRIPTION_LIFE,
  }
  const others = record.subscriptions.filter((held) => held !== known)
  return {
    record: { ...record, subscriptions: [...others, subscription] },
    subscription,
    ...(known && !kept && { ended: known }),
  }
}

/** Whether the account has a live subscription to the app with exactly this scope. */
export const isSubscribed = (
  record: AccountRecord,
  { domain, scope, now }: { domain: string; scope: readonly string[]; now: number },
): boolean =>
  record.subscriptions.some(
    (held) =>
      held.domain === domain &&
      isLive(held, now) &&
      held.scope.length === scope.length &&
      held.scope.every((id) => scope.includes(id)),
  )

/** The live subscription with this id; `not_subscribed` otherwise. */
export const subscriptionOf = (record: AccountRecord, id: string, now: number): Subscription => {
  const found = record.subscriptions.find((held) => held.id === id)
  if (!found || !isLive(found, now)) throw new ProtocolError('not_subscribed')
  return found
}

/** Replaces the scope and renews the subscription. */
export const update = (
  record: AccountRecord,
  wish: { subscriptionId: string; scope: string[]; account: string; now: number },
): AccountRecord => {
  const { subscriptionId, scope, account, now } = wish
  const held = subscriptionOf(record, subscriptionId, now)
  const updated = { ...held, scope, account, expiresAt: now + SUBSCRIPTION_LIFE }
  return { ...record, subscriptions: record.subscriptions.map((each) => (each === held ? updated : each)) }
}

export const remove = (record: AccountRecord, subscriptionId: string, now: number): AccountRecord => {
  const held = subscriptionOf(record, subscriptionId, now)
  return { ...record, subscriptions: record.subscriptions.filter((each) => each !== held) }
}

/** Adds the watcher, or replaces the one with the same identity key. `too_many_watchers` above the limit. */
export const watch = (
  record: AccountRecord,
  wish: Omit<Watcher, 'expiresAt'> & { now: number },
): AccountRecord => {
  const { now, ...wanted } = wish
  const others = record.watchers.filter((held) => held.identityKey !== wanted.identityKey)
  const own = record.watchers.find((held) => held.identityKey === wanted.identityKey)
  const rewatch = own !== undefined && isLive(own, now) && own.domain === wanted.domain
  const rivals = others.filter((held) => held.domain === wanted.domain && isLive(held, now))
  if (!rewatch && rivals.length >= MOST_WATCHERS) throw new ProtocolError('too_many_watchers')
  return { ...record, watchers: [...others, { ...wanted, expiresAt: now + WATCHER_LIFE }] }
}

export const unwatch = (record: AccountRecord, identityKey: string): AccountRecord => ({
  ...record,
  watchers: record.watchers.filter((held) => held.identityKey !== identityKey),
})

/** Drops what has expired; `ended` are the subscriptions among it. */
export const expire = (
  record: AccountRecord,
  now: number,
): { record: AccountRecord; ended: Subscription[]; changed: boolean } => {
  const subscriptions = record.subscriptions.filter((held) => isLive(held, now))
  const watchers = record.watchers.filter((held) => isLive(held, now))
  return {
    record: { subscriptions, watchers },
    ended: record.subscriptions.filter((held) => !isLive(held, now)),
    changed: subscriptions.length < record.subscriptions.length || watchers.length < record.watchers.length,
  }
}

/** The live watcher of this identity key, if there is one. */
export const watcherOf = (record: AccountRecord, identityKey: string, now: number): Watcher | undefined =>
  record.watchers.find((held) => held.identityKey === identityKey && isLive(held, now))

/** What the account has, restricted to one app or (null) not. */
export const viewOf = (record: AccountRecord, domain: string | null, now: number): Subscription[] =>
  record.subscriptions.filter((held) => isLive(held, now) && (domain === null || held.domain === domain))

/**
 * The restriction of the view that answers a request about `domain`: all apps for a client that watches all apps, the
 * app alone for one that watches one app, or none.
 */
export const answerScope = (
  record: AccountRecord,
  asked: { identityKey: string; domain: string; now: number },
): string | null => (watcherOf(record, asked.identityKey, asked.now)?.domain === null ? null : asked.domain)

/** Live watchers that must hear that something about the app changed; `except` is who caused it and knows. */
export const watchersToTell = (
  record: AccountRecord,
  change: { domain: string; except: string | undefined; now: number },
): Watcher[] =>
  record.watchers.filter(
    (held) =>
      isLive(held, change.now) &&
      (held.domain === null || held.domain === change.domain) &&
      held.identityKey !== change.except,
  )
