import type { Budgets } from '../../platform/budgets/budgets.ts'
import { ROW_OVERHEAD_BYTES } from '../../platform/budgets/state-budget.ts'
import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Drops } from '../drops.ts'
import type { RelayLimits } from '../limits.ts'
import { type RelayStore, SUBSCRIPTION_LEASE_MS } from '../store.ts'
import type { Caller } from './caller.ts'

export interface Subscriptions {
  /** Subscribes; the cursors wait until `answered` is called. A client that is not trusted owns nothing. */
  subscribe(caller: Caller, topics: readonly string[], exclusive?: boolean): Promise<{ answered: () => void }>
  unsubscribe(caller: Caller, topics: readonly string[]): Promise<void>
}

export const createSubscriptions = (deps: {
  store: Pick<RelayStore, 'subscribe' | 'unsubscribe' | 'unsubscribedOf'>
  clock: Clock
  limits: Pick<RelayLimits, 'topicsPerClient'>
  budgets: Pick<Budgets, 'state'>
  drops: Drops
  /** The client left the topics, on all its connections. */
  unsubscribed(clientId: string, topics: readonly string[]): void
}): Subscriptions => {
  const { store, clock, limits, budgets, drops } = deps

  const lock = createKeyedLock()
  /** Hands work on subscriptions to the store in the order in which it was asked for, although some of it is paid first. */
  const inOrder = async <T>(
    clientId: string,
    pay: (() => Promise<void>) | undefined,
    work: () => Promise<T>,
  ): Promise<T> => {
    // What comes next waits until the work has begun, not until it is done.
    const begun = await lock(clientId, async () => {
      if (pay) await pay()
      return { answer: work() }
    })
    return begun.answer
  }

  /** Charges what a new subscription keeps, for as long as its lease. */
  const pay = async ({ clientId, address }: Caller, topics: readonly string[]): Promise<void> => {
    const { length } = await store.unsubscribedOf(clientId, topics)
    if (length > 0) {
      await budgets.state.demand(address, (length - 1) * ROW_OVERHEAD_BYTES, SUBSCRIPTION_LEASE_MS)
    }
  }

  return {
    async subscribe(caller, topics, exclusive = false) {
      const { clientId, trusted, delivery } = caller
      const cursors = delivery?.subscribing(topics) ?? []
      try {
        const now = clock.now()
        const how = trusted ? { now, exclusive } : { now, limit: limits.topicsPerClient }
        const { owned, crowded } = await inOrder(
          clientId,
          caller.address === '' ? undefined : () => pay(caller, topics),
          () => store.subscribe(clientId, topics, how),
        )
        for (const topic of owned) drops('owned', topic)
        for (const topic of crowded) drops('crowded', topic)
      } catch (error) {
        delivery?.abandoned(cursors)
        throw error
      }
      return { answered: () => delivery?.subscribed(cursors) }
    },

    unsubscribe({ clientId }, topics) {
      deps.unsubscribed(clientId, topics)
      return inOrder(clientId, undefined, () => store.unsubscribe(clientId, topics))
    },
  }
}
