import type { Clock } from '../../platform/runtime/clock.ts'

/** How long closing waits for handlers that are at work. */
export const HANDLERS_CLOSE_TIMEOUT_MS = 5_000

/** Resolves when the work is done, or after so long. The work never rejects. */
export const waitAtMost = (clock: Clock, timeoutMs: number, work: Promise<unknown>): Promise<void> =>
  new Promise((resolve) => {
    const timer = clock.after(timeoutMs, resolve)
    work.then(() => {
      timer[Symbol.dispose]()
      resolve()
    })
  })
