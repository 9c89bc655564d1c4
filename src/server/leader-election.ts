/**
 * Jobs that one process does for all that share a store: sweeping, renewing. Each has a lease, and whoever holds it is
 * on duty until it stops or dies; another one notices within `LEASE + BEAT` at most (`BEAT` after a stop in good order).
 *
 * It is thrift, not a lock: after a leap of the clock, or while the process was halted, two may do the same job for a
 * moment, and every job bears that.
 */
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import type { Leases } from '../storage/leases.ts'

/** How long a duty is ours without word from us, ms. */
const LEASE = 45_000
/** How often the lease is prolonged, or asked for, ms. */
const BEAT = 15_000

/** Does the work while this process is on duty; the work settles soon after the signal. */
export type LeaderTask = (work: (signal: AbortSignal) => Promise<void>) => AsyncDisposable

/** `holder` is unique among the processes. */
export const createLeaderElection = (
  { leases, clock, log }: { leases: Leases; clock: Clock; log: Log },
  holder: string,
): ((name: string) => LeaderTask) => {
  const take = async (name: string): Promise<number | undefined> => {
    const now = clock.now()
    const until = now + LEASE
    return (await leases.take(name, { holder, now, until })) ? until : undefined
  }

  /** Aborts `over` when the lease has gone to another, or ends because it cannot be prolonged. */
  const keep = async (name: string, first: number, over: AbortController): Promise<void> => {
    let until = first
    const watch = () => clock.after(until - clock.now(), () => over.abort())
    let end = watch()
    while (!over.signal.aborted) {
      await pause(clock, BEAT, over.signal)
      if (over.signal.aborted) break
      try {
        const more = await take(name)
        if (more === undefined) over.abort()
        else until = more
        end[Symbol.dispose]()
        end = watch()
      } catch (err) {
        log.debug({ err, duty: name }, 'A lease could not be prolonged; trying again')
      }
    }
    end[Symbol.dispose]()
  }

  return (name) => (work) => {
    const ending = new AbortController()
    let isHolder = false

    /** Until the duty is over. Answers whether it was ended from outside. */
    const serve = async (): Promise<boolean> => {
      const until = await take(name)
      isHolder = until !== undefined
      if (until === undefined) return false
      log.debug({ duty: name }, 'On duty')
      const over = new AbortController()
      const stop = () => over.abort()
      ending.signal.addEventListener('abort', stop, { once: true })
      if (ending.signal.aborted) stop()
      const keeping = keep(name, until, over)
      try {
        await work(over.signal)
        return over.signal.aborted
      } finally {
        ending.signal.removeEventListener('abort', stop)
        over.abort()
        await keeping
      }
    }

    const run = async (): Promise<void> => {
      while (!ending.signal.aborted) {
        try {
          // After a long sleep the lease is over, but may be had again at once.
          if (await serve()) continue
        } catch (err) {
          log.warn({ err, duty: name }, 'A duty could not be done; trying again')
        }
        await pause(clock, BEAT, ending.signal)
      }
      // The next one need not wait for the end of the lease, and nobody waits for this.
      if (isHolder) leases.release(name, holder).catch(() => {})
    }
    const running = run()
    return {
      async [Symbol.asyncDispose]() {
        ending.abort()
        await running
      },
    }
  }
}
