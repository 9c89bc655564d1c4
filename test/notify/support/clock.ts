import type { Clock } from '../../../src/platform/runtime/clock.ts'

/**
 * A clock that leaps: `advance` sets the time, then runs once what has become due, as after a machine was asleep. (With
 * `manualClock` thirty days would be millions of looks at the outbox.)
 */
export const leapingClock = (
  start = Date.UTC(2026, 0, 1),
): Clock & { advance(ms: number): Promise<void> } => {
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
      now += ms
      const ready = [...due].filter((entry) => entry.at <= now).sort((a, b) => a.at - b.at)
      for (const entry of ready) {
        if (due.delete(entry)) entry.task()
      }
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}
