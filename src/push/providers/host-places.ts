/**
 * Places for push services that have not proven themselves. Whoever registers a device names the host of its endpoint, and
 * names are free: hosts that take a push and never answer must not take the places of those that do.
 *
 * | a host                                                     | its pushes                                 |
 * |------------------------------------------------------------|--------------------------------------------|
 * | answered within the last day, and since it failed the last | have all places                            |
 * | time ten minutes have passed, or twenty answers            |                                            |
 * | any other                                                  | share `UNPROVEN_PLACES`, and end sooner    |
 *
 * So a host that answers, then hangs, does not do so again soon. What is remembered is bounded.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import { DAY_MS, MINUTE_MS } from '../../platform/units.ts'

const UNPROVEN_PLACES = 32
const PROVEN_FOR_MS = DAY_MS
const FAILED_FOR_MS = 10 * MINUTE_MS
const ANSWERS_AFTER_FAILURE = 20
const MAX_REMEMBERED = 10_000

interface HostRecord {
  answeredAt: number
  failedAt: number
  /** Since it failed. */
  answers: number
}

const UNKNOWN: HostRecord = { answeredAt: 0, failedAt: 0, answers: 0 }

export interface HostPlace {
  isProven: boolean
  /** Gives the place back, once. */
  leave(isAnswered: boolean): void
}

export interface HostPlaces {
  /** A place for one push; undefined where all are taken. */
  enter(host: string): HostPlace | undefined
}

export const createHostPlaces = ({ clock }: { clock: Clock }): HostPlaces => {
  const known = new Map<string, HostRecord>()
  let unproven = 0

  const isProven = (host: string): boolean => {
    const now = clock.now()
    const { answeredAt, failedAt, answers } = known.get(host) ?? UNKNOWN
    const isForgiven = failedAt + FAILED_FOR_MS <= now || answers >= ANSWERS_AFTER_FAILURE
    return answers > 0 && answeredAt + PROVEN_FOR_MS > now && isForgiven
  }
  const note = (host: string, isAnswered: boolean): void => {
    const now = clock.now()
    const { answeredAt, failedAt, answers } = known.get(host) ?? UNKNOWN
    // The newest entry is the last, so the oldest are forgotten first.
    known.delete(host)
    known.set(
      host,
      isAnswered
        ? { answeredAt: now, failedAt, answers: answers + 1 }
        : { answeredAt, failedAt: now, answers: 0 },
    )
    for (const oldest of known.keys()) {
      if (known.size <= MAX_REMEMBERED) break
      known.delete(oldest)
    }
  }

  return {
    enter(host) {
      const proven = isProven(host)
      if (!proven && unproven >= UNPROVEN_PLACES) return undefined
      if (!proven) unproven += 1
      return {
        isProven: proven,
        leave(isAnswered) {
          if (!proven) unproven -= 1
          note(host, isAnswered)
        },
      }
    },
  }
}
