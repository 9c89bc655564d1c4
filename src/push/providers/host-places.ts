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
 * places to the others once they have failed, and a domain with many hosts fails for all of them. Where all places are taken, each
 * project has a few of its own: whoever names ten thousand hosts holds up the project that takes his devices, and no other. What
 * is remembered is bounded; hosts that fail make none forgotten that answered.
 */
import { isIPv4 } from 'node:net'
import type { Clock } from '../../platform/runtime/clock.ts'
import { DAY_MS, MINUTE_MS } from '../../platform/units.ts'

const UNPROVEN_PLACES = 24
const FAILED_PLACES = 8
/** Of each project, when those are taken; and of all projects, so that those of proven hosts stay free. */
const OWN_PLACES = { unproven: 4, failed: 2 }
const MAX_OWN_PLACES = 400
/** Where the subscriptions of browsers lead: nobody else can answer there. */
const BROWSER_SERVICES =
  /^(fcm\.googleapis\.com|jmt17\.google\.com|updates\.push\.services\.mozilla\.com|web\.push\.apple\.com|[a-z0-9-]+\.notify\.windows\.com)$/
const PROVEN_FOR_MS = DAY_MS
const FAILED_FOR_MS = 10 * MINUTE_MS
const ANSWERS_AFTER_FAILURE = 20
/** Hosts and domains: those that answered, and those that failed. */
const MAX_REMEMBERED = 20_000

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
  /** A place for one push of the project; undefined where all are taken. */
  enter(host: string, projectId: string): HostPlace | undefined
  /** Whether the host, or its domain, failed when it was asked last, a short time ago. */
  hasFailed(host: string): boolean
}

/** What names an owner of hosts: the last two labels of a name, or the block of an address. */
const domainOf = (host: string): string => {
  const parts = host.split('.')
  return isIPv4(host) ? `${parts.slice(0, 3).join('.')}.` : `.${parts.slice(-2).join('.')}`
}

/** What is known of hosts and domains. Those that fail are free to make, and take no room from those that answered. */
const createHostRecords = () => {
  const answered = new Map<string, HostRecord>()
  const failed = new Map<string, HostRecord>()
  return {
    of: (name: string): HostRecord => answered.get(name) ?? failed.get(name) ?? UNKNOWN,
    set(name: string, record: HostRecord): void {
      // The newest entry is the last, so the oldest are forgotten first.
      answered.delete(name)
      failed.delete(name)
      const known = record.answers > 0 ? answered : failed
      known.set(name, record)
      for (const oldest of known.keys()) {
        if (known.size <= MAX_REMEMBERED) break
        known.delete(oldest)
      }
    },
  }
}

type PlaceKind = keyof typeof OWN_PLACES

/** Places that are taken: those that all projects share, then those of one. */
const createTaken = () => {
  const shared = { unproven: 0, failed: 0 }
  const byProject = new Map<string, { unproven: number; failed: number }>()
  let own = 0

  const enterShared = (kind: PlaceKind): (() => void) | undefined => {
    if (shared[kind] >= (kind === 'failed' ? FAILED_PLACES : UNPROVEN_PLACES)) return undefined
    shared[kind] += 1
    return () => {
      shared[kind] -= 1
    }
  }
  const enterOwn = (kind: PlaceKind, projectId: string): (() => void) | undefined => {
    const taken = byProject.get(projectId) ?? { unproven: 0, failed: 0 }
    if (taken[kind] >= OWN_PLACES[kind] || own >= MAX_OWN_PLACES) return undefined
    byProject.set(projectId, taken)
    taken[kind] += 1
    own += 1
    return () => {
      taken[kind] -= 1
      own -= 1
      if (taken.unproven + taken.failed === 0) byProject.delete(projectId)
    }
  }
  return {
    /** Returns how the place is given back. */
    enter: (kind: PlaceKind, projectId: string) => enterShared(kind) ?? enterOwn(kind, projectId),
  }
}

export const createHostPlaces = ({ clock }: { clock: Clock }): HostPlaces => {
  const records = createHostRecords()
  const taken = createTaken()

  const isProven = (host: string): boolean => {
    if (BROWSER_SERVICES.test(host)) return true
    const now = clock.now()
    const { answeredAt, failedAt, answers } = records.of(host)
    const isForgiven = failedAt + FAILED_FOR_MS <= now || answers >= ANSWERS_AFTER_FAILURE
    return answers > 0 && answeredAt + PROVEN_FOR_MS > now && isForgiven
  }
  const hasFailed = (host: string): boolean =>
    [host, domainOf(host)].some((name) => {
      const { failedAt, answers } = records.of(name)
      return answers === 0 && failedAt + FAILED_FOR_MS > clock.now()
    })
  const note = (name: string, isAnswered: boolean): void => {
    const now = clock.now()
    const { answeredAt, failedAt, answers } = records.of(name)
    records.set(
      name,
      isAnswered
        ? { answeredAt: now, failedAt, answers: answers + 1 }
        : { answeredAt, failedAt: now, answers: 0 },
    )
  }

  return {
    hasFailed,
    enter(host, projectId) {
      const proven = isProven(host)
      const giveBack = proven ? () => {} : taken.enter(hasFailed(host) ? 'failed' : 'unproven', projectId)
      if (!giveBack) return undefined
      return {
        isProven: proven,
        leave(isAnswered) {
          giveBack()
          note(host, isAnswered)
          note(domainOf(host), isAnswered)
        },
      }
    },
  }
}
