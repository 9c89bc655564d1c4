/**
 * What a wallet's device keeps over a restart, as plain JSON, and how a view that the server sent changes it.
 */
import * as z from 'zod'
import { fromHex, toHex } from '../../../protocol/bytes.ts'
import { accountKey } from '../../../protocol/caip.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { type SubscriptionItem, subscriptionItem } from '../../../protocol/notify-methods.ts'
import { topicOf } from '../../../protocol/topic.ts'

const hexKey = z.string().regex(/^[0-9a-f]{64}$/)

const walletState = z.object({
  version: z.literal(1),
  /** CAIP-10. */
  account: z.string(),
  /** Ed25519 seed of the relay client id: under another one, what waits on the relay would not be found. */
  clientSeed: hexKey,
  /** Ed25519 seed of the identity key. */
  identitySeed: hexKey,
  /** X25519 private key of the watch requests: the same one gives the same watch topic. */
  watchKey: hexKey,
  /** What the registered identity key was allowed to do; null while it is not registered. */
  registeredFor: z.string().nullable(),
  /** Keys of the notify server that this device watches at; null while it does not watch. */
  server: z.object({ subscribe: hexKey, authentication: z.string() }).nullable(),
  subscriptions: z.array(subscriptionItem),
  /** `msg.id`s that were handed over, the latest last. */
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

/** Throws `bad_params` for what is not the state of a wallet of this account. */
export const readState = (state: unknown, account: string): WalletState => {
  const parsed = walletState.safeParse(state)
  if (!parsed.success) throw new ProtocolError('bad_params', 'it is not the state of a wallet')
  if (parsed.data.account !== account) throw new ProtocolError('account_mismatch')
  return parsed.data
}

/** A subscription of the account, as the wallet shows it. */
export interface Subscription {
  domain: string
  /** CAIP-10. */
  account: string
  topic: string
  /** Ids of the notification types that it wants. */
  scope: string[]
  /** Unix ms. */
  expiresAt: number
  unread: number
}

const topicOfItem = (item: SubscriptionItem): string => topicOf(fromHex(item.symKey))

const shown = (item: SubscriptionItem): Subscription => ({
  domain: item.appDomain,
  account: item.account,
  topic: topicOfItem(item),
  scope: item.scope,
  expiresAt: item.expiry * 1000,
  unread: item.unreadNotificationCount,
})

/** What a view changed. */
export interface ViewChange {
  changed: boolean
  /** Topics on which nothing more comes. */
  left: string[]
}

/** The subscriptions that a device knows, by the topic on which their messages come. */
export const createSubscriptions = (account: string, restored: readonly SubscriptionItem[]) => {
  const person = accountKey(account)
  const byTopic = new Map(restored.map((item) => [topicOfItem(item), item]))
  /**
   * Answers and news come on different topics, so an older view may arrive after a newer one. This is the time (unix s)
   * of the youngest view that each app was part of, whether listed or missing.
   */
  const asOf = new Map<string, number>()

  const isMine = (item: SubscriptionItem): boolean => {
    try {
      return accountKey(item.account) === person
    } catch {
      return false
    }
  }

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
    clear(): void {
      byTopic.clear()
      asOf.clear()
    },
    /**
     * Takes over what another device shared: a subscription that is not known here, or, without it, that the one on
     * the topic has ended. What is known from the server stays as it is.
     */
    learn(topic: string | undefined, item: SubscriptionItem | undefined): ViewChange {
      if (!item) {
        const isGone = topic !== undefined && byTopic.delete(topic)
        return { changed: isGone, left: isGone ? [topic] : [] }
      }
      const known = [...byTopic.values()].some(({ appDomain }) => appDomain === item.appDomain)
      if (known || !isMine(item)) return { changed: false, left: [] }
      byTopic.set(topicOfItem(item), { ...item, account })
      return { changed: true, left: [] }
    },
    /**
     * Takes over a view made at `iat`. It is complete for one app, or with `complete: null` for all: what is missing
     * there has ended.
     */
    apply(
      view: readonly SubscriptionItem[],
      { complete, iat }: { complete: string | null; iat: number },
    ): ViewChange {
      const before = JSON.stringify([...byTopic])
      const topics = new Set(byTopic.keys())
      const isStale = (domain: string) => iat < (asOf.get(domain) ?? 0)
      const listed = new Set<string>()
      for (const item of view) {
        listed.add(item.appDomain)
        if (!isMine(item) || isStale(item.appDomain)) continue
        asOf.set(item.appDomain, iat)
        const topic = topicOfItem(item)
        // A new key means a new subscription: the old topic is over.
        for (const [other, { appDomain }] of byTopic) {
          if (appDomain === item.appDomain && other !== topic) byTopic.delete(other)
        }
        byTopic.set(topic, item)
      }
      for (const [topic, { appDomain }] of byTopic) {
        if (listed.has(appDomain) || isStale(appDomain) || (complete !== null && complete !== appDomain))
          continue
        byTopic.delete(topic)
        asOf.set(appDomain, iat)
      }
      return {
        changed: JSON.stringify([...byTopic]) !== before,
        left: [...topics].filter((topic) => !byTopic.has(topic)),
      }
    },
  }
}
