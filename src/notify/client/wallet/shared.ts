/**
 * The subscriptions of an account as its devices share them among themselves, beside what the notify server tells each:
 * a device that joins has them, and hears their messages, before it has asked the server. What the server says wins: a
 * view of it overwrites what was shared.
 */
import type { Log } from '../../../platform/telemetry.ts'
import type { SubscriptionItem } from '../../../protocol/notify-methods.ts'
import type { ViewChange } from './state.ts'

/** Subscriptions by their topics; a typed store of `belfry/sync` is one (`NOTIFY_SUBSCRIPTIONS`). */
export interface SharedSubscriptions {
  all(): SubscriptionItem[]
  set(item: SubscriptionItem): Promise<unknown>
  delete(topic: string): Promise<unknown>
  /** Undefined: it has ended, or cannot be read. */
  onChange(listener: (topic: string, item: SubscriptionItem | undefined) => void): Disposable
}

export const shareSubscriptions = (
  deps: {
    subscriptions: {
      items(): SubscriptionItem[]
      learn(topic: string | undefined, item: SubscriptionItem | undefined): ViewChange
    }
    /** Follows the topics, saves and tells the listeners. */
    settle: (change: ViewChange) => Promise<void>
    log: Log
    fail: (error: unknown) => void
  },
  /** `domain`: the only app that this device may see; null for all. */
  { shared, domain }: { shared: SharedSubscriptions | undefined; domain: string | null },
): Disposable & { changed(left: readonly string[]): Promise<void> } => {
  const { subscriptions, settle, log, fail } = deps

  const learn = (topic: string | undefined, item: SubscriptionItem | undefined) => {
    if (item && domain !== null && item.appDomain !== domain) return
    settle(subscriptions.learn(topic, item)).catch((err: unknown) => {
      log.warn({ err }, 'A subscription that another device shared could not be followed')
      fail(err)
    })
  }
  const learnAll = () => {
    for (const item of shared?.all() ?? []) learn(undefined, item)
  }
  learnAll()
  const listening = shared?.onChange((topic, item) => {
    learn(topic, item)
    // In place of the one that ended there may be another one of the same app.
    if (!item) learnAll()
  })

  return {
    async changed(left) {
      if (!shared) return
      try {
        await Promise.all([...subscriptions.items().map(shared.set), ...left.map(shared.delete)])
      } catch (err) {
        log.warn({ err }, 'The subscriptions could not be shared with the other devices')
        fail(err)
      }
    },
    [Symbol.dispose]: () => listening?.[Symbol.dispose](),
  }
}
