/**
 * What the relay client wants to be subscribed to. The last wish for a topic wins; a wish stays here until the relay
 * has acknowledged it, over reconnects.
 *
 * For a relay that does not remember, every topic is kept and subscribed again on each connection. For one that does,
 * nothing is kept once it is acknowledged, so that a server of a million topics does not hold them all.
 */
import { soon } from '#socket'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { type ErrorCode, ProtocolError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/relay-methods.ts'
import { subscriptionIdOf } from '../../protocol/topic.ts'
import { createCaller } from './calls.ts'
import type { Connection, Outcome } from './connection.ts'

/** One call of subscribe or unsubscribe. */
interface Waiter {
  left: number
  resolve: () => void
  reject: (error: ProtocolError) => void
}

interface Wish {
  topic: string
  on: boolean
  /** The topic is to belong to this client, on a relay that does so. */
  exclusive: boolean
  waiters: Waiter[]
}

/** Refusals that say something of the relay and nothing of the topic. */
const NOT_NOW: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['unavailable', 'internal', 'rate_limited'])
/** When a renewal that was refused for now is asked for again, ms. */
const RENEW_AGAIN = 5_000

export const createTopics = (
  {
    clock,
    connection,
    log,
  }: { clock: Clock; connection: Pick<Connection, 'connected' | 'request'>; log: Log },
  { clientId, remembers }: { clientId: string; remembers: boolean },
) => {
  /** What is renewed after a reconnect, and whether this connection has confirmed it. */
  const kept = new Map<string, boolean>()
  /** Of these, those that are to belong to this client. */
  const keptExclusive = new Set<string>()
  const wishes = new Map<string, Wish>()
  let scheduled = false
  // One batch at a time, so that two wishes for a topic cannot overtake each other.
  let underWay = false
  let over: ProtocolError | undefined
  let again: Disposable | undefined

  const request: Connection['request'] = (...args) => connection.request(...args)
  const claimed = (wish: Wish | undefined) => (wish?.exclusive ? { exclusive: true } : {})
  const subscribe = createCaller<Wish>(request, {
    batch: {
      method: 'irn_batchSubscribe',
      params: (batch) => ({ topics: batch.map(({ topic }) => topic), ...claimed(batch[0]) }),
    },
    single: { method: 'irn_subscribe', params: (wish) => ({ topic: wish.topic, ...claimed(wish) }) },
  })
  const named = ({ topic }: Wish) => ({ topic, id: subscriptionIdOf(topic, clientId) })
  const unsubscribe = createCaller<Wish>(request, {
    batch: { method: 'irn_batchUnsubscribe', params: (batch) => ({ subscriptions: batch.map(named) }) },
    single: { method: 'irn_unsubscribe', params: named },
  })

  const settle = (wish: Wish, outcome: Outcome) => {
    if (outcome.kind === 'lost' && !over) {
      // A newer wish for the topic takes over those who wait for this one.
      const newer = wishes.get(wish.topic)
      if (newer) newer.waiters.push(...wish.waiters)
      else wishes.set(wish.topic, wish)
      return
    }
    if (outcome.kind === 'answered') {
      if (wish.on && kept.has(wish.topic) && !wishes.has(wish.topic)) kept.set(wish.topic, true)
      for (const waiter of wish.waiters) {
        waiter.left--
        if (waiter.left === 0) waiter.resolve()
      }
      return
    }
    const error = outcome.kind === 'refused' ? outcome.error : (over ?? new ProtocolError('unavailable'))
    if (wish.waiters.length === 0) log.warn({ err: error }, 'The relay refused to renew a subscription')
    // Nobody waits for a renewal, so nobody else would ask again.
    if (wish.waiters.length === 0 && NOT_NOW.has(error.code) && !over) return renewLater()
    if (wish.on && !wishes.has(wish.topic)) kept.delete(wish.topic)
    for (const waiter of wish.waiters) waiter.reject(error)
  }

  /** Wishes for what is kept and not confirmed. */
  const renew = () => {
    for (const [topic, confirmed] of kept) {
      if (!confirmed && !wishes.has(topic))
        wishes.set(topic, { topic, on: true, exclusive: keptExclusive.has(topic), waiters: [] })
    }
    schedule()
  }

  const renewLater = () => {
    again ??= clock.after(RENEW_AGAIN, () => {
      again = undefined
      renew()
    })
  }

  const flush = () => {
    scheduled = false
    const [first] = wishes.values()
    if (!connection.connected || underWay || !first) return
    const batch: Wish[] = []
    for (const wish of wishes.values()) {
      if (wish.on !== first.on || wish.exclusive !== first.exclusive) continue
      batch.push(wish)
      if (batch.length === LIMITS.batch) break
    }
    for (const { topic } of batch) wishes.delete(topic)
    underWay = true
    const call = first.on ? subscribe : unsubscribe
    call(batch, settle, () => {
      underWay = false
      schedule()
    })
  }

  const schedule = () => {
    if (scheduled) return
    scheduled = true
    soon(flush)
  }

  const want = (topics: readonly string[], on: boolean, exclusive = false): Promise<void> => {
    if (over) return Promise.reject(over)
    if (topics.length === 0) return Promise.resolve()
    const distinct = new Set(topics.map((topic) => topic.toLowerCase()))
    // What is there already is not asked for again: a relay holds a topic back for a while after each subscribe.
    if (on) {
      for (const topic of distinct) if (kept.get(topic) && !wishes.has(topic)) distinct.delete(topic)
      if (distinct.size === 0) return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const waiter = { left: distinct.size, resolve, reject }
      for (const topic of distinct) {
        if (!remembers && on) kept.set(topic, false)
        else kept.delete(topic)
        if (!remembers && on && exclusive) keptExclusive.add(topic)
        else keptExclusive.delete(topic)
        const wish = wishes.get(topic)
        if (wish) {
          wish.on = on
          wish.exclusive = exclusive
          wish.waiters.push(waiter)
        } else wishes.set(topic, { topic, on, exclusive, waiters: [waiter] })
      }
      schedule()
    })
  }

  return {
    subscribe: (topics: readonly string[], { exclusive = false }: { exclusive?: boolean } = {}) =>
      want(topics, true, exclusive),
    unsubscribe: (topics: readonly string[]) => want(topics, false),
    opened() {
      for (const topic of kept.keys()) kept.set(topic, false)
      renew()
    },
    ended(error: ProtocolError) {
      over = error
      again?.[Symbol.dispose]()
      for (const wish of wishes.values()) for (const waiter of wish.waiters) waiter.reject(error)
      wishes.clear()
    },
  }
}
