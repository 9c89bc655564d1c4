/**
 * What the relay client wants to be subscribed to. The last call for a topic wins; it stays here until the relay has
 * acknowledged it, over reconnects.
 *
 * For a relay that does not remember, every topic is kept and subscribed again on each connection. For one that does,
 * nothing is kept once it is acknowledged, so that a server of a million topics does not keep them all.
 */
import { soon } from '#socket'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { ErrorCode, ProtocolError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/relay/delivered.ts'
import { subscriptionIdOf } from '../../protocol/topic.ts'
import { type Caller, createCaller } from './calls.ts'
import type { Connection, Outcome } from './connection.ts'

/** One call of subscribe or unsubscribe. */
interface Waiter {
  remaining: number
  resolve: () => void
  reject: (error: ProtocolError) => void
}

/** What the relay is to be told of a topic. */
interface Change {
  topic: string
  subscribe: boolean
  /** The topic is to belong to this client, on a relay that does so. */
  exclusive: boolean
  waiters: Waiter[]
}

type Link = Pick<Connection, 'connected' | 'request'>

/** Refusals that say something of the relay and nothing of the topic. */
const TEMPORARY: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['unavailable', 'internal', 'rate_limited'])
/** When a renewal that was refused for now is asked for again. */
const RENEWAL_RETRY_MS = 5_000

export const createTopics = (
  { clock, connection, log }: { clock: Clock; connection: Link; log: Log },
  { clientId, remembers }: { clientId: string; remembers: boolean },
) => {
  const renewed = createRenewedTopics(remembers)
  const changes = createChanges(connection, clientId)
  let over: ProtocolError | undefined
  let retry: Disposable | undefined

  const renew = () => {
    for (const [topic, exclusive] of renewed.unconfirmed()) {
      if (!changes.has(topic)) changes.set({ topic, subscribe: true, exclusive, waiters: [] })
    }
    changes.schedule(complete)
  }

  const renewLater = () => {
    retry ??= clock.after(RENEWAL_RETRY_MS, () => {
      retry = undefined
      renew()
    })
  }

  const refused = (change: Change, error: ProtocolError) => {
    const isRenewal = change.waiters.length === 0
    if (isRenewal) log.warn({ err: error }, 'The relay refused to renew a subscription')
    // No caller waits for a renewal and would ask again.
    if (isRenewal && TEMPORARY.has(error.code) && !over) return renewLater()
    if (change.subscribe && !changes.has(change.topic)) renewed.delete(change.topic)
    for (const waiter of change.waiters) waiter.reject(error)
  }

  const complete = (change: Change, outcome: Outcome) => {
    if (outcome.kind === 'refused') return refused(change, outcome.error)
    if (outcome.kind === 'lost') return over ? refused(change, over) : changes.putBack(change)
    if (change.subscribe && !changes.has(change.topic)) renewed.confirm(change.topic)
    countDown(change.waiters)
  }

  const want = (topics: readonly string[], subscribe: boolean, exclusive = false): Promise<void> => {
    if (over) return Promise.reject(over)
    const distinct = new Set(topics.map((topic) => topic.toLowerCase()))
    if (subscribe) deleteSubscribed(distinct, renewed, changes)
    if (distinct.size === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const waiter = { remaining: distinct.size, resolve, reject }
      for (const topic of distinct) {
        if (subscribe) renewed.add(topic, exclusive)
        else renewed.delete(topic)
        changes.merge({ topic, subscribe, exclusive, waiters: [waiter] })
      }
      changes.schedule(complete)
    })
  }

  return {
    subscribe: (topics: readonly string[], { exclusive = false }: { exclusive?: boolean } = {}) =>
      want(topics, true, exclusive),
    unsubscribe: (topics: readonly string[]) => want(topics, false),
    opened() {
      renewed.unconfirmAll()
      renew()
    },
    ended(error: ProtocolError) {
      over = error
      retry?.[Symbol.dispose]()
      for (const { waiters } of changes.clear()) for (const waiter of waiters) waiter.reject(error)
    },
  }
}

/** A topic that is subscribed is not asked for again: a relay holds it back for a while after each subscribe. */
const deleteSubscribed = (
  topics: Set<string>,
  renewed: { isConfirmed(topic: string): boolean },
  changes: { has(topic: string): boolean },
): void => {
  for (const topic of topics) if (renewed.isConfirmed(topic) && !changes.has(topic)) topics.delete(topic)
}

/** One topic of each call is acknowledged. */
const countDown = (waiters: readonly Waiter[]): void => {
  for (const waiter of waiters) {
    waiter.remaining--
    if (waiter.remaining === 0) waiter.resolve()
  }
}

/** The topics that are subscribed again after a reconnect; none for a relay that remembers. */
const createRenewedTopics = (remembers: boolean) => {
  const topics = new Map<string, { exclusive: boolean; isConfirmed: boolean }>()
  return {
    add(topic: string, exclusive: boolean): void {
      if (!remembers) topics.set(topic, { exclusive, isConfirmed: false })
    },
    delete: (topic: string) => void topics.delete(topic),
    /** This connection has subscribed the topic. */
    confirm(topic: string): void {
      const known = topics.get(topic)
      if (known) known.isConfirmed = true
    },
    isConfirmed: (topic: string): boolean => topics.get(topic)?.isConfirmed ?? false,
    unconfirmAll(): void {
      for (const known of topics.values()) known.isConfirmed = false
    },
    unconfirmed: (): [topic: string, exclusive: boolean][] =>
      [...topics].flatMap(([topic, { exclusive, isConfirmed }]) => (isConfirmed ? [] : [[topic, exclusive]])),
  }
}

/** The changes that the relay has not acknowledged. One batch is under way at a time, so that none overtakes another. */
const createChanges = (connection: Link, clientId: string) => {
  const waiting = new Map<string, Change>()
  const { subscribe, unsubscribe } = createCallers(connection, clientId)
  let isScheduled = false
  let isUnderWay = false

  const takeBatch = (first: Change): Change[] => {
    const batch: Change[] = []
    for (const change of waiting.values()) {
      if (change.subscribe !== first.subscribe || change.exclusive !== first.exclusive) continue
      batch.push(change)
      if (batch.length === LIMITS.batch) break
    }
    for (const { topic } of batch) waiting.delete(topic)
    return batch
  }

  const flush = (complete: (change: Change, outcome: Outcome) => void) => {
    isScheduled = false
    const [first] = waiting.values()
    if (!connection.connected || isUnderWay || !first) return
    const batch = takeBatch(first)
    isUnderWay = true
    const call = first.subscribe ? subscribe : unsubscribe
    call(batch, complete, () => {
      isUnderWay = false
      schedule(complete)
    })
  }

  const schedule = (complete: (change: Change, outcome: Outcome) => void) => {
    if (isScheduled) return
    isScheduled = true
    soon(() => flush(complete))
  }

  return {
    schedule,
    has: (topic: string): boolean => waiting.has(topic),
    set: (change: Change) => void waiting.set(change.topic, change),
    /** The last call for a topic wins; those who wait for an earlier one wait for it. */
    merge(change: Change): void {
      const earlier = waiting.get(change.topic)
      if (!earlier) return void waiting.set(change.topic, change)
      earlier.subscribe = change.subscribe
      earlier.exclusive = change.exclusive
      earlier.waiters.push(...change.waiters)
    },
    /** The connection ended before the answer; a newer change of the topic takes over those who wait. */
    putBack(change: Change): void {
      const newer = waiting.get(change.topic)
      if (newer) newer.waiters.push(...change.waiters)
      else waiting.set(change.topic, change)
    },
    clear(): Change[] {
      const all = [...waiting.values()]
      waiting.clear()
      return all
    },
  }
}

const createCallers = (
  connection: Link,
  clientId: string,
): { subscribe: Caller<Change>; unsubscribe: Caller<Change> } => {
  const request: Connection['request'] = (...args) => connection.request(...args)
  const ownership = (change: Change | undefined) => (change?.exclusive ? { exclusive: true } : {})
  const subscription = ({ topic }: Change) => ({ topic, id: subscriptionIdOf(topic, clientId) })
  return {
    subscribe: createCaller<Change>(request, {
      batch: {
        method: 'irn_batchSubscribe',
        params: (batch) => ({ topics: batch.map(({ topic }) => topic), ...ownership(batch[0]) }),
      },
      single: {
        method: 'irn_subscribe',
        params: (change) => ({ topic: change.topic, ...ownership(change) }),
      },
    }),
    unsubscribe: createCaller<Change>(request, {
      batch: {
        method: 'irn_batchUnsubscribe',
        params: (batch) => ({ subscriptions: batch.map(subscription) }),
      },
      single: { method: 'irn_unsubscribe', params: subscription },
    }),
  }
}
