/**
 * Long polls: who waits for a queue looks again when something was put there. Waiting costs no look into the store; only
 * where other processes put too, whose word may get lost, it looks now and then.
 *
 * All who wait for one queue are woken, in the order in which they came, and each looks for itself.
 */
import type { Clock } from '../platform/runtime/clock.ts'
import type { Meter } from '../platform/telemetry.ts'
import type { MqStore, QueueName } from './store.ts'

export interface Polls extends Disposable {
  /**
   * What `look` finds, as soon as it finds something; undefined after `timeoutMs` ms, when the signal says that nobody
   * waits any more, and at a stop.
   */
  wait<T>(
    queue: QueueName,
    look: () => Promise<T | undefined>,
    options: { timeoutMs: number; signal: AbortSignal },
  ): Promise<T | undefined>
  /** Ends all of them, also those that come later, after one look. */
  stop(): void
}

const nameOf = ({ domain, hashDID }: QueueName): string => `${domain} ${hashDID}`

export const createPolls = (
  { store, clock, meter }: { store: Pick<MqStore, 'onPut'>; clock: Clock; meter: Meter },
  /** ms between two looks without word; undefined where word cannot get lost. */
  { catchUpEveryMs }: { catchUpEveryMs?: number | undefined } = {},
): Polls => {
  const sleepers = new Map<string, Set<() => void>>()
  const stopping = new AbortController()
  let waiting = 0
  const listening = store.onPut((queue) => {
    for (const wake of [...(sleepers.get(nameOf(queue)) ?? [])]) wake()
  })

  return {
    async wait(queue, look, { timeoutMs, signal }) {
      const name = nameOf(queue)
      const until = clock.now() + timeoutMs
      // Set before each look, so that what is put during it is not missed.
      let isCalled = false
      let rise: (() => void) | undefined
      const wake = () => {
        isCalled = true
        rise?.()
      }
      const others = sleepers.get(name) ?? new Set()
      sleepers.set(name, others.add(wake))
      meter.gauge('mq_polls', ++waiting)
      const isOver = () => signal.aborted || stopping.signal.aborted || clock.now() >= until
      const end = () => rise?.()
      signal.addEventListener('abort', end)
      stopping.signal.addEventListener('abort', end)
      try {
        for (;;) {
          if (signal.aborted) return undefined
          isCalled = false
          const found = await look()
          if (found !== undefined) return found
          if (isOver()) return undefined
          if (isCalled) continue
          const rest = Math.min(until - clock.now(), catchUpEveryMs ?? Number.POSITIVE_INFINITY)
          await new Promise<void>((resolve) => {
            const timer = clock.after(rest, () => resolve())
            rise = () => {
              timer[Symbol.dispose]()
              resolve()
            }
          })
          rise = undefined
          if (isOver() && !isCalled) return undefined
        }
      } finally {
        signal.removeEventListener('abort', end)
        stopping.signal.removeEventListener('abort', end)
        meter.gauge('mq_polls', --waiting)
        others.delete(wake)
        if (others.size === 0 && sleepers.get(name) === others) sleepers.delete(name)
      }
    },
    stop: () => stopping.abort(),
    [Symbol.dispose]() {
      stopping.abort()
      listening[Symbol.dispose]()
    },
  }
}
