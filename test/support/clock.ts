import { type Clock, systemClock } from '../../src/platform/runtime/clock.ts'

/** A clock whose hands the test turns: `advance` runs what becomes due, in order of its time. */
export const manualClock = (start = Date.UTC(2026, 0, 1)): Clock & { advance(ms: number): Promise<void> } => {
  let now = start
  const due = new Set<{ at: number; task: () => void }>()
  return {
    now: () => now,
    after(delay, task) {
      const entry = { at: now + Math.max(0, delay), task }
      due.add(entry)
      return { [Symbol.dispose]: () => void due.delete(entry) }
    },
    async advance(ms) {
      const end = now + ms
      for (;;) {
        const next = [...due].filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0]
        if (!next) break
        due.delete(next)
        now = Math.max(now, next.at)
        next.task()
        // Lets promises that the task started settle before the next one runs.
        await new Promise((resolve) => setImmediate(resolve))
      }
      now = end
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

/** The system's clock, which a test may set forward by a while. Timers that run are not called earlier for it. */
export const forwardClock = (): Clock & { forward(ms: number): void } => {
  let ahead = 0
  return {
    now: () => systemClock.now() + ahead,
    after: systemClock.after,
    forward(ms) {
      ahead += ms
    },
  }
}
