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

/** Closes once, when it is called first or when the signal is aborted. */
export const closeOnce = (
  signal: AbortSignal | undefined,
  close: () => Promise<void>,
): (() => Promise<void>) => {
  let closing: Promise<void> | undefined
  const closeNow = () => {
    signal?.removeEventListener('abort', onAbort)
    closing ??= close()
    return closing
  }
  const onAbort = () => void closeNow()
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  return closeNow
}
