/**
 * Runs a task for many callers, one run after the other. Calls during a run share the next one, so each caller has a run
 * that began after its call.
 */
export const createNextRun = (task: () => Promise<void>) => {
  let next: Promise<void> | undefined
  let underWay: Promise<void> = Promise.resolve()
  return {
    /** Settles as the run does. A run that fails does not keep the next one from being tried. */
    run(): Promise<void> {
      if (next) return next
      const run = underWay.then(() => {
        next = undefined
        return task()
      })
      next = run
      underWay = run.catch(() => {})
      return run
    },
    /** Resolves when no run is under way of those that were asked for. */
    idle: (): Promise<void> => underWay,
  }
}
