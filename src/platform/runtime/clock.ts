/**
 * Time, as a dependency. Everything that waits or asks for the time is given a `Clock`, so that tests turn the hands
 * themselves. `now` is unix milliseconds; delays are milliseconds.
 */
export interface Clock {
  now(): number
  /** Runs `task` once, after `delay`; disposing cancels it. */
  after(delay: number, task: () => void): Disposable
}

// setTimeout fires at once for delays above 2^31-1 ms.
const MAX_DELAY_MS = 2_147_483_647

export const systemClock: Clock = {
  now: () => Date.now(),
  after(delay, task) {
    const timer = setTimeout(task, Math.min(Math.max(delay, 0), MAX_DELAY_MS))
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}

/** Resolves after `delay`, or at once when the signal is or becomes aborted. Never rejects. */
export const pause = (clock: Clock, delay: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      timer[Symbol.dispose]()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = clock.after(delay, end)
    signal?.addEventListener('abort', end, { once: true })
  })
