/** Settles as the work does, and rejects when the signal aborts before, whatever becomes of the work then. */
export const unlessAborted = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    const end = () => signal.removeEventListener('abort', stop)
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(end)
    if (signal.aborted) stop()
  })
