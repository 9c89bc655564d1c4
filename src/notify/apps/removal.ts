/**
 * Removes an app, for the operator.
 *
 * Its row goes first, so that nobody subscribes to it any more, and then its subscriptions, some at a call: an app may have
 * very many. Every call may be the last one of a process: it is repeated until nothing is left. A subscription that was
 * being made meanwhile ends by itself, after 30 days at most. What the app has sent stays until its retention ends.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import type { NotifyStore } from '../store/store.ts'
import type { SubscriptionEndings } from '../subscriptions/endings.ts'

/** Subscriptions that one call ends, and how many of them at once: wallets are served beside it. */
const ENDED_PER_CALL = 500
const AT_ONCE = 20

export interface RemovedApp {
  /** Subscriptions that this call ended. */
  ended: number
  /** Nothing is left of it. */
  isRemoved: boolean
}

export const createAppRemoval =
  (deps: {
    store: Pick<NotifyStore, 'removeApp' | 'subscribers'>
    endings: Pick<SubscriptionEndings, 'clear'>
    /** The notify server leaves the topics on its relay. */
    leave: (topics: string[]) => Promise<void>
  }) =>
  /** Throws `unknown_app` where there was none, and nothing is left of one. */
  async (domain: string): Promise<RemovedApp> => {
    const { store, endings, leave } = deps
    const topics = await store.removeApp(domain)
    if (topics.length > 0) await leave(topics)
    const subscribers = await store.subscribers(domain, { limit: ENDED_PER_CALL })
    if (topics.length === 0 && subscribers.length === 0) throw new ProtocolError('unknown_app', domain)
    for (let at = 0; at < subscribers.length; at += AT_ONCE) {
      const part = subscribers.slice(at, at + AT_ONCE)
      await Promise.all(part.map(({ accountKey }) => endings.clear(accountKey, domain)))
    }
    return { ended: subscribers.length, isRemoved: subscribers.length < ENDED_PER_CALL }
  }
