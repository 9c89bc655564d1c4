/**
 * The state of a wallet's device, as plain JSON that survives a restart, and how views of the server change it.
 */
import * as z from '#schema'
import { fromHex, toHex } from '../../../protocol/bytes.ts'
import { accountKey } from '../../../protocol/caip.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { Preferences } from '../../../protocol/notify/preferences.ts'
import { type SubscriptionItem, subscriptionItem } from '../../../protocol/notify-methods.ts'
import { topicOf } from '../../../protocol/topic.ts'

const hexKey = z.string().regex(/^[0-9a-f]{64}$/)

export const walletState = z.object({
  version: z.literal(1),
  /** CAIP-10. */
  account: z.string(),
  /** Ed25519 seed of the relay client id: under another one, what waits on the relay would not be found. */
  clientSeed: hexKey,
  /** Ed25519 seed of the identity key. */
  identitySeed: hexKey,
  /** X25519 private key of the watch requests: the same one gives the same watch topic. */
  watchKey: hexKey,
  /** What the registered identity key may do; null while it is not registered. */
  registeredFor: z.string().nullable(),
  /** Keys of the notify server that this device watches at; null while it does not watch. */
  server: z.object({ subscribe: hexKey, authentication: z.string() }).nullable(),
  subscriptions: z.array(subscriptionItem),
  /** `msg.id`s of delivered notifications, the latest last. */
  seen: z.array(z.string()),
})

/** Holds the device's secret keys. */
export type WalletState = z.output<typeof walletState>

export const freshState = (account: string, randomBytes: (length: number) => Uint8Array): WalletState => ({
  version: 1,
  account,
  clientSeed: toHex(randomBytes(32)),
  identitySeed: toHex(randomBytes(32)),
  watchKey: toHex(randomBytes(32)),
  registeredFor: null,
  server: null,
  subscriptions: [],
  seen: [],
})

/** Throws `bad_params` for what is not the state of a wallet. */
export const readWalletState = (state: unknown): WalletState => {
  const parsed = walletState.safeParse(state)
  if (parsed.success) return parsed.data
  throw new ProtocolError('bad_params', 'it is not the state of a wallet')
}

/** Throws `bad_params` for what is not the state of a wallet, and `account_mismatch` for that of another account. */
export const readState = (state: unknown, account: string): WalletState => {
  const read = readWalletState(state)
  if (read.account !== account) throw new ProtocolError('account_mismatch')
  return read
}

/** A subscription of the account, as the wallet shows it. */
export interface Subscription {
  domain: string
  /** CAIP-10. */
  account: string
  topic: string
  /** Ids of the notification types that the account wants. */
  scope: string[]
  /** Unix ms. */
  expiresAt: number
  unread: number
  /** Only where the account has some. */
  preferences?: Preferences
}

const topicOfItem = (item: SubscriptionItem): string => topicOf(fromHex(item.symKey))

const shown = (item: SubscriptionItem): Subscription => ({
  domain: item.appDomain,
  account: item.account,
  topic: topicOfItem(item),
  scope: item.scope,
  expiresAt: item.expiry * 1000,
  unread: item.unreadNotificationCount,
  ...(item.preferences && { preferences: item.preferences }),
})

/** What a view of the account changed. */
export interface ViewChange {
  changed: boolean
  /** Topics on which nothing more comes. */
  left: string[]
}

/** Whether an item of a view belongs to this account, on whatever chain. */
const createIsOwn = (account: string) => {
  const ownKey = accountKey(account)
  return (item: SubscriptionItem): boolean => {
    try {
      return accountKey(item.account) === ownKey
    } catch {
      return false
    }
  }
}

/**
 * Applies a view made at `iat`. It is complete for one app, or with `complete: null` for all: a subscription that is
 * missing there has ended. `asOf` has the time of the youngest view of each app, because an older one may come later.
 */
const applyView = (
  { byTopic, asOf }: { byTopic: Map<string, SubscriptionItem>; asOf: Map<string, number> },
  isOwn: (item: SubscriptionItem) => boolean,
  view: readonly SubscriptionItem[],
  { complete, iat }: { complete: string | null; iat: number },
): ViewChange => {
  const before = JSON.stringify([...byTopic])
  const topics = new Set(byTopic.keys())
  const isStale = (domain: string) => iat < (asOf.get(domain) ?? 0)
  const listed = new Set<string>()
  for (const item of view) {
    listed.add(item.appDomain)
    if (!isOwn(item) || isStale(item.appDomain)) continue
    asOf.set(item.appDomain, iat)
    const topic = topicOfItem(item)
    // A new key means a new subscription, so the old topic has ended.
    for (const [other, { appDomain }] of byTopic) {
      if (appDomain === item.appDomain && other !== topic) byTopic.delete(other)
    }
    byTopic.set(topic, item)
  }
  for (const [topic, { appDomain }] of byTopic) {
    if (listed.has(appDomain) || isStale(appDomain) || (complete !== null && complete !== appDomain)) continue
    byTopic.delete(topic)
    asOf.set(appDomain, iat)
  }
  return {
    changed: JSON.stringify([...byTopic]) !== before,
    left: [...topics].filter((topic) => !byTopic.has(topic)),
  }
}

/** The subscriptions that a device knows, by the topic on which their messages come. */
export const createSubscriptions = (account: string, restored: readonly SubscriptionItem[]) => {
  const isOwn = createIsOwn(account)
  const byTopic = new Map(restored.map((item) => [topicOfItem(item), item]))
  /** Unix s of the youngest view that each app was part of, whether listed or missing. */
  const asOf = new Map<string, number>()

  return {
    all: (now: number): Subscription[] =>
      [...byTopic.values()].map(shown).filter(({ expiresAt }) => expiresAt > now),
    items: (): SubscriptionItem[] => [...byTopic.values()],
    topics: (): string[] => [...byTopic.keys()],
    onTopic: (topic: string): SubscriptionItem | undefined => byTopic.get(topic),
    /** Throws `not_subscribed`. */
    of(domain: string): { topic: string; item: SubscriptionItem } {
      for (const [topic, item] of byTopic) if (item.appDomain === domain) return { topic, item }
      throw new ProtocolError('not_subscribed', domain)
    },
    shownOf(domain: string): Subscription {
      return shown(this.of(domain).item)
    },
    setUnread(topic: string, count: (before: number) => number): void {
      const item = byTopic.get(topic)
      if (!item) return
      byTopic.set(topic, {
        ...item,
        unreadNotificationCount: Math.max(0, count(item.unreadNotificationCount)),
      })
    },
    /**
     * Counts a notification that the server signed at `iat`, unix s, unless the youngest view of the app has counted it:
     * one that waited on the relay may be older than the view. In the second of the view, and in the one after it, nobody
     * can tell (`isSure`): times on the wire are whole seconds, and a view has a number of each app, no ids to compare with.
     * The account is read again then. `undo` takes it back, unless a view has come since.
     */
    countUnread(topic: string, iat: number): { isSure: boolean; undo: () => void } {
      const viewOf = () => asOf.get(byTopic.get(topic)?.appDomain ?? '')
      const viewedAt = viewOf()
      const isNew = viewedAt === undefined || iat >= viewedAt
      if (isNew) this.setUnread(topic, (count) => count + 1)
      return {
        isSure: viewedAt === undefined || iat < viewedAt || iat > viewedAt + 1,
        undo: () => {
          if (isNew && viewOf() === viewedAt) this.setUnread(topic, (count) => count - 1)
        },
      }
    },
    clear(): void {
      byTopic.clear()
      asOf.clear()
    },
    /**
     * Applies what another device shared: an unknown subscription, or without `item` that the one on the topic has
     * ended. What is known from the server stays as it is.
     */
    learn(topic: string | undefined, item: SubscriptionItem | undefined): ViewChange {
      if (!item) {
        const isRemoved = topic !== undefined && byTopic.delete(topic)
        return { changed: isRemoved, left: isRemoved ? [topic] : [] }
      }
      const known = [...byTopic.values()].some(({ appDomain }) => appDomain === item.appDomain)
      if (known || !isOwn(item)) return { changed: false, left: [] }
      byTopic.set(topicOfItem(item), { ...item, account })
      return { changed: true, left: [] }
    },
    apply: (view: readonly SubscriptionItem[], about: { complete: string | null; iat: number }): ViewChange =>
      applyView({ byTopic, asOf }, isOwn, view, about),
  }
}
