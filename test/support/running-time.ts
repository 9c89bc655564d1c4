const TICK_MS = 10

/**
 * How long something takes while this process runs, ms: time in which it stands still does not count, nor does what a busy
 * machine takes from each tick. For what is to happen before a timer of this process.
 */
export const runningTimeOf = async (task: () => Promise<unknown>): Promise<number> => {
  let ticks = 0
  const timer = setInterval(() => {
    ticks += 1
  }, TICK_MS)
  try {
    await task()
    return ticks * TICK_MS
  } finally {
    clearInterval(timer)
  }
}
