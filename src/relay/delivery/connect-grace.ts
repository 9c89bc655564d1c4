import type { Clock } from '../../platform/runtime/clock.ts'
import type { RelayLimits } from '../limits.ts'

/**
 * The first moments of a connection. Published clients ignore (and acknowledge!) a message on a topic that they have not
 * subscribed to on this connection yet, and core 2.17 fetches before it subscribes. So nothing is pushed on a topic
 * until the client has subscribed to it, or has asked for nothing for a while.
 */
export interface ConnectGrace extends Disposable {
  /** Whether the client may still subscribe to the topic, so that nothing is pushed there. */
  expects(topic: string): boolean
  /** The client subscribes or fetches: the grace lasts longer. */
  extend(): void
  subscribed(topic: string): void
  unsubscribed(topic: string): void
  readonly over: boolean
}

/** `ended` is called once, with the topics that the client subscribed to meanwhile. */
export const createConnectGrace = (
  clock: Clock,
  limits: Pick<RelayLimits, 'connectGraceMs' | 'maxConnectGraceMs'>,
  ended: (subscribed: ReadonlySet<string>) => void,
): ConnectGrace => {
  const latestEndAt = clock.now() + limits.maxConnectGraceMs
  let endAt = clock.now() + limits.connectGraceMs
  let over = false
  let topics = new Set<string>()
  let timer: Disposable

  const check = () => {
    const remainingMs = endAt - clock.now()
    if (remainingMs > 0) {
      timer = clock.after(remainingMs, check)
      return
    }
    over = true
    const subscribed = topics
    topics = new Set()
    ended(subscribed)
  }
  timer = clock.after(limits.connectGraceMs, check)

  return {
    get over() {
      return over
    },
    expects: (topic) => !over && !topics.has(topic),
    extend: () => {
      endAt = Math.min(clock.now() + limits.connectGraceMs, latestEndAt)
    },
    subscribed: (topic) => {
      if (!over) topics.add(topic)
    },
    unsubscribed: (topic) => void topics.delete(topic),
    [Symbol.dispose]: () => {
      over = true
      timer[Symbol.dispose]()
    },
  }
}
