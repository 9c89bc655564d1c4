/** Resolves when Ctrl-C, SIGTERM, or a reader that goes away ends it. A second signal ends the process at once. */
export const untilStopped = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve())
    process.stdout.once('error', () => resolve())
  })
