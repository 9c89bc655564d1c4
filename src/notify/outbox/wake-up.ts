/** Wakes one sleeper. A notification after `listen` is not missed, also when nobody waits yet. */
import type { Clock } from '../../platform/runtime/clock.ts'

export interface WakeUp {
  /** From here on notifications count for the next `wait`. */
  listen(): void
  notify(): void
  /** Resolves with a notification, after `maxMs`, or with the signal. */
  wait(maxMs: number, signal: AbortSignal): Promise<void>
}

export const createWakeUp = (clock: Clock): WakeUp => {
  let isNotified = false
  let wake: (() => void) | undefined
  return {
    listen() {
      isNotified = false
    },
    notify() {
      isNotified = true
      wake?.()
    },
    // No signal of its own for each wait: it would cost more than the rest of a short one.
    wait(maxMs, signal) {
      if (isNotified || signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const done = () => {
          timer[Symbol.dispose]()
          signal.removeEventListener('abort', done)
          wake = undefined
          resolve()
        }
        const timer = clock.after(maxMs, done)
        signal.addEventListener('abort', done)
        wake = done
      })
    },
  }
}
