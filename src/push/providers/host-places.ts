/**
 * Places for push services that have not proven themselves. Whoever registers a device names the host of its endpoint, and
 * names are free: hosts that take a push and never answer must not take the places of those that do.
 *
 * | a host                                                     | its pushes                                 |
 * |------------------------------------------------------------|--------------------------------------------|
 * | of a browser's push service                                | have all places                            |
 * | answered within the last day, and since it failed the last | have all places                            |
 * | time ten minutes have passed, or twenty answers            |                                            |
 * | any other                                                  | share `UNPROVEN_PLACES`, and end sooner    |
 * | of them, what failed last, or whose domain did             | share `FAILED_PLACES`, and end sooner      |
 *
 * So a host that answers, then hangs, does not do so again soon. After a start, when no host is proven, those that hang leave
 * places to the others once they have failed, and a domain with many hosts fails for all of them. What is remembered is bounded.
 */
import { isIPv4 } from 'node:net'
import type { Clock } from '../../platform/runtime/clock.ts'
import { DAY_MS, MINUTE_MS } from '../../platform/units.ts'

const UNPROVEN_PLACES = 24
const FAILED_PLACES = 8
/** Where the subscriptions of browsers lead: nobody else can answer there. */
const BROWSER_SERVICES =
  /^(fcm\.googleapis\.com|jmt17\.google\.com|updates\.push\.services\.mozilla\.com|web\.push\.apple\.com|[a-z0-9-]+\.notify\.windows\.com)$/
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
  /** Whether the host, or its domain, failed when it was asked last, a short time ago. */
  hasFailed(host: string): boolean
}

/** What names an owner of hosts: the last two labels of a name, or the block of an address. */
const domainOf = (host: string): string => {
  const parts = host.split('.')
  return isIPv4(host) ? `${parts.slice(0, 3).join('.')}.` : `.${parts.slice(-2).join('.')}`
}

export const createHostPlaces = ({ clock }: { clock: Clock }): HostPlaces => {
  const known = new Map<string, HostRecord>()
  const taken = { unproven: 0, failed: 0 }

  const isProven = (host: string): boolean => {
    if (BROWSER_SERVICES.test(host)) return true
    const now = clock.now()
    const { answeredAt, failedAt, answers } = known.get(host) ?? UNKNOWN
    const isForgiven = failedAt + FAILED_FOR_MS <= now || answers >= ANSWERS_AFTER_FAILURE
    return answers > 0 && answeredAt + PROVEN_FOR_MS > now && isForgiven
  }
  const hasFailed = (host: string): boolean =>
    [host, domainOf(host)].some((name) => {
      const { failedAt, answers } = known.get(name) ?? UNKNOWN
      return answers === 0 && failedAt + FAILED_FOR_MS > clock.now()
    })
  const note = (name: string, isAnswered: boolean): void => {
    const now = clock.now()
    const { answeredAt, failedAt, answers } = known.get(name) ?? UNKNOWN
    // The newest entry is the last, so the oldest are forgotten first.
    known.delete(name)
    known.set(
      name,
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
    hasFailed,
    enter(host) {
      const proven = isProven(host)
      const kind = hasFailed(host) ? 'failed' : 'unproven'
      if (!proven && taken[kind] >= (kind === 'failed' ? FAILED_PLACES : UNPROVEN_PLACES)) return undefined
      if (!proven) taken[kind] += 1
      return {
        isProven: proven,
        leave(isAnswered) {
          if (!proven) taken[kind] -= 1
          note(host, isAnswered)
          note(domainOf(host), isAnswered)
        },
      }
    },
  }
}
