/**
 * Circuit breakers by name: failures in a row make a pause, and each further failure doubles it. After a pause one call at a
 * time probes. An hour after the last failure it is forgotten.
 */
import type { Clock } from '../runtime/clock.ts'

const FORGOTTEN_AFTER_MS = 3_600_000

export interface BreakerOptions {
  /** Failures in a row before the first pause. */
  failures: number
  firstPauseMs: number
  longestPauseMs: number
  /** Names of which failures are remembered. */
  remembered: number
}

export const createBreakers = ({ clock }: { clock: Clock }, options: BreakerOptions) => {
  const { failures, firstPauseMs, longestPauseMs, remembered } = options
  const known = new Map<string, { inRow: number; at: number; until: number; isProbed: boolean }>()
  return {
    /** Until when no call may begin, unix ms; 0 when one may. */
    until: (name: string) => known.get(name)?.until ?? 0,
    /** Whether a call may begin: one at a time, once there was a pause. */
    allows(name: string): boolean {
      const state = known.get(name)
      if (!state || state.until === 0) return true
      return state.until <= clock.now() && !state.isProbed
    },
    begun(name: string) {
      const state = known.get(name)
      if (state && state.until > 0) state.isProbed = true
    },
    good: (name: string) => void known.delete(name),
    released(name: string) {
      const state = known.get(name)
      if (state) state.isProbed = false
    },
    bad(name: string) {
      const now = clock.now()
      const before = known.get(name)
      const inRow = before && before.at > now - FORGOTTEN_AFTER_MS ? before.inRow + 1 : 1
      const pause = Math.min(firstPauseMs * 2 ** Math.min(inRow - failures, 20), longestPauseMs)
      // The newest entry is the last, so the oldest are removed first.
      known.delete(name)
      known.set(name, { inRow, at: now, until: inRow >= failures ? now + pause : 0, isProbed: false })
      for (const oldest of known.keys()) {
        if (known.size <= remembered) break
        known.delete(oldest)
      }
    },
  }
}
