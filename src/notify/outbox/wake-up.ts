/** Wakes one sleeper. A notification after `listen` is not missed, also when nobody waits yet. */
import { type Clock, pause } from '../../platform/runtime/clock.ts'

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
    async wait(maxMs, signal) {
      if (isNotified || signal.aborted) return
      const end = new AbortController()
      wake = () => end.abort()
      signal.addEventListener('abort', wake, { once: true })
      await pause(clock, maxMs, end.signal)
      signal.removeEventListener('abort', wake)
      wake = undefined
    },
  }
}
