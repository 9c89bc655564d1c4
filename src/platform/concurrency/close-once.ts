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
