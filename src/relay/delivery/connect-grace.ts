import type { Clock } from '../../platform/runtime/clock.ts'
import type { RelayLimits } from '../limits.ts'

/**
 * The first moments of a connection. Published clients ignore (and acknowledge!) a message on a topic that they have not
 * subscribed to on this connection yet, and core 2.17 fetches before it subscribes. So nothing is pushed on a topic
 * until the client has asked for it, or has asked for nothing for a while.
 */
export interface ConnectGrace extends Disposable {
  /** Whether the client is still expected to say what it wants of this topic. */
  expects(topic: string): boolean
  /** The client subscribes or fetches, so it is not done. */
  postpone(): void
  asked(topic: string): void
  unasked(topic: string): void
  readonly over: boolean
}

/** `settled` is called once, with the topics that the client subscribed to meanwhile. */
export const createConnectGrace = (
  clock: Clock,
  limits: Pick<RelayLimits, 'connectGraceMs' | 'maxConnectGraceMs'>,
  settled: (asked: ReadonlySet<string>) => void,
): ConnectGrace => {
  const latest = clock.now() + limits.maxConnectGraceMs
  let at = clock.now() + limits.connectGraceMs
  let over = false
  let topics = new Set<string>()
  let timer: Disposable

  const look = () => {
    const left = at - clock.now()
    if (left > 0) {
      timer = clock.after(left, look)
      return
    }
    over = true
    const asked = topics
    topics = new Set()
    settled(asked)
  }
  timer = clock.after(limits.connectGraceMs, look)

  return {
    get over() {
      return over
    },
    expects: (topic) => !over && !topics.has(topic),
    postpone: () => {
      at = Math.min(clock.now() + limits.connectGraceMs, latest)
    },
    asked: (topic) => {
      if (!over) topics.add(topic)
    },
    unasked: (topic) => void topics.delete(topic),
    [Symbol.dispose]: () => {
      over = true
      timer[Symbol.dispose]()
    },
  }
}
