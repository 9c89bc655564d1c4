/**
 * The rules of protocol.md §6 about one address, as pure functions: an account record and a wish in, the next record
 * out. They know no store, no keys in clear and no clock. The caller commits what they return.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import type { Preferences } from '../../protocol/notify/preferences.ts'
import { SUBSCRIPTION_LIFETIME_MS, WATCHER_LIFETIME_MS } from '../lifetimes.ts'
import type { AccountRecord, Sealed, Subscription, Watcher } from '../store/store.ts'

/** Live watchers of one address with the same scope: all apps, or one app. */
export const MAX_WATCHERS_PER_SCOPE = 25

const isLive = ({ expiresAt }: { expiresAt: number }, now: number): boolean => expiresAt > now

/** The id, key and topic of a new subscription. They are unused when the account has one for the app. */
export interface FreshSubscription {
  id: string
  key: Sealed
  topic: string
}

/** What a request says about preferences: absent leaves them, null removes them. */
export type PreferencesWish = { preferences?: Preferences | null | undefined }

/** The subscription with the preferences that were asked for. */
const preferring = (
  { preferences: present, ...subscription }: Subscription,
  { preferences: wanted = present }: PreferencesWish,
): Subscription => {
  const { digest = 'off', ...others } = wanted ?? {}
  // What wants nothing is kept as nothing.
  if (digest !== 'off') return { ...subscription, preferences: { ...others, digest } }
  return others.quiet ? { ...subscription, preferences: others } : subscription
}

/**
 * Subscribes to an app, or replaces the scope of an existing subscription. A live one keeps its key, id and topic. An
 * expired one, swept or not, is replaced by a new subscription with a key of its own; `expired` is the old one then.
 */
export const subscribe = (
  record: AccountRecord,
  wish: PreferencesWish & {
    domain: string
    scope: string[]
    account: string
    fresh: FreshSubscription
    now: number
  },
): { record: AccountRecord; subscription: Subscription; expired?: Subscription } => {
  const { domain, scope, account, fresh, now } = wish
  const former = record.subscriptions.find((one) => one.domain === domain)
  const live = former && isLive(former, now) ? former : undefined
  const subscribed = { scope, account, expiresAt: now + SUBSCRIPTION_LIFETIME_MS }
  const before = live ?? { ...fresh, domain, createdAt: now }
  const subscription = preferring({ ...before, ...subscribed }, wish)
  const others = record.subscriptions.filter((one) => one !== former)
  return {
    record: { ...record, subscriptions: [...others, subscription] },
    subscription,
    ...(former && !live && { expired: former }),
  }
}

/** Whether the account has a live subscription to the app with exactly this scope. */
export const isSubscribed = (
  record: AccountRecord,
  { domain, scope, now }: { domain: string; scope: readonly string[]; now: number },
): boolean =>
  record.subscriptions.some(
    (one) =>
      one.domain === domain &&
      isLive(one, now) &&
      one.scope.length === scope.length &&
      one.scope.every((id) => scope.includes(id)),
  )

/** The live subscription with this id; `not_subscribed` otherwise. */
export const subscriptionOf = (record: AccountRecord, id: string, now: number): Subscription => {
  const found = record.subscriptions.find((one) => one.id === id)
  if (!found || !isLive(found, now)) throw new ProtocolError('not_subscribed')
  return found
}

/** Replaces the scope and renews the subscription. */
export const update = (
  record: AccountRecord,
  wish: PreferencesWish & { subscriptionId: string; scope: string[]; account: string; now: number },
): AccountRecord => {
  const { subscriptionId, scope, account, now } = wish
  const present = subscriptionOf(record, subscriptionId, now)
  const renewed = { ...present, scope, account, expiresAt: now + SUBSCRIPTION_LIFETIME_MS }
  const updated = preferring(renewed, wish)
  return { ...record, subscriptions: record.subscriptions.map((each) => (each === present ? updated : each)) }
}

export const remove = (record: AccountRecord, subscriptionId: string, now: number): AccountRecord => {
  const removed = subscriptionOf(record, subscriptionId, now)
  return { ...record, subscriptions: record.subscriptions.filter((each) => each !== removed) }
}

/** Adds the watcher, or replaces the one with the same identity key. `too_many_watchers` above the limit. */
export const watch = (
  record: AccountRecord,
  wish: Omit<Watcher, 'expiresAt'> & { now: number },
): AccountRecord => {
  const { now, ...wanted } = wish
  const others = record.watchers.filter((one) => one.identityKey !== wanted.identityKey)
  const own = record.watchers.find((one) => one.identityKey === wanted.identityKey)
  const rewatch = own !== undefined && isLive(own, now) && own.domain === wanted.domain
  const rivals = others.filter((one) => one.domain === wanted.domain && isLive(one, now))
  if (!rewatch && rivals.length >= MAX_WATCHERS_PER_SCOPE) throw new ProtocolError('too_many_watchers')
  return { ...record, watchers: [...others, { ...wanted, expiresAt: now + WATCHER_LIFETIME_MS }] }
}

export const unwatch = (record: AccountRecord, identityKey: string): AccountRecord => ({
  ...record,
  watchers: record.watchers.filter((one) => one.identityKey !== identityKey),
})

/** Removes what has expired; `expired` lists the subscriptions among it. */
export const expire = (
  record: AccountRecord,
  now: number,
): { record: AccountRecord; expired: Subscription[]; changed: boolean } => {
  const subscriptions = record.subscriptions.filter((one) => isLive(one, now))
  const watchers = record.watchers.filter((one) => isLive(one, now))
  return {
    record: { subscriptions, watchers },
    expired: record.subscriptions.filter((one) => !isLive(one, now)),
    changed: subscriptions.length < record.subscriptions.length || watchers.length < record.watchers.length,
  }
}

/** The live watcher with this identity key; undefined when there is none. */
export const watcherOf = (record: AccountRecord, identityKey: string, now: number): Watcher | undefined =>
  record.watchers.find((one) => one.identityKey === identityKey && isLive(one, now))

/** The live subscriptions of the account: of one app, or with null of all apps. */
export const viewOf = (record: AccountRecord, domain: string | null, now: number): Subscription[] =>
  record.subscriptions.filter((one) => isLive(one, now) && (domain === null || one.domain === domain))

/**
 * The apps that the answer to a request about `domain` lists: all (null) for a client that watches all apps, else that
 * app alone.
 */
export const answerScope = (
  record: AccountRecord,
  asked: { identityKey: string; domain: string; now: number },
): string | null => (watcherOf(record, asked.identityKey, asked.now)?.domain === null ? null : asked.domain)

/** Live watchers that must hear of a change about the app. `except` is the identity key that caused the change. */
export const watchersToTell = (
  record: AccountRecord,
  change: { domain: string; except: string | undefined; now: number },
): Watcher[] =>
  record.watchers.filter(
    (one) =>
      isLive(one, change.now) &&
      (one.domain === null || one.domain === change.domain) &&
      one.identityKey !== change.except,
  )
