/**
 * Looks up the addresses of names that somebody else chose, so that a name that leads nowhere stalls nobody.
 *
 * Public names are asked of the name servers directly, each look-up with sockets of its own, a time-out and a cancel.
 * Only names that this machine or the operator knows go through the system's resolver, which has few threads for the
 * whole process: those of the hosts file, and those that the options name. A name that failed is not asked again for a
 * while. What is remembered is bounded.
 */
import { type LookupAddress, lookup } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import type { Clock } from '../runtime/clock.ts'

export type Resolve = (host: string, signal?: AbortSignal) => Promise<LookupAddress[]>

export interface ResolverOptions {
  /** Names that the system's resolver is asked for, beside those of the hosts file. */
  isSystemName?: (host: string) => boolean
  /** Name servers to ask, `address:port`. Default: those of this machine. */
  servers?: readonly string[]
  timeoutMs?: number
  /** How long a failure is remembered, ms. */
  failureMs?: number
}

const LOOKUP_TIMEOUT_MS = 4_000
const FAILURE_TTL_MS = 30_000
const MAX_CACHED_NAMES = 10_000
/** Look-ups that wait for the system's resolver. */
const MAX_SYSTEM_LOOKUPS = 128
const HOSTS_FILE = '/etc/hosts'

const hostsFileNames = (): ReadonlySet<string> => {
  try {
    const lines = readFileSync(HOSTS_FILE, 'utf8').split('\n')
    return new Set(
      lines.flatMap((line) => line.toLowerCase().split('#')[0]?.trim().split(/\s+/).slice(1) ?? []),
    )
  } catch {
    return new Set()
  }
}

const isLocalhost = (host: string) => host === 'localhost' || host.endsWith('.localhost')
const bare = (host: string) => host.toLowerCase().replace(/\.$/, '')

const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code })

/** Settles when the work does, the time is over, or the signal aborts; `cancel` is called in the latter two. */
const within = <T>(
  work: Promise<T>,
  milliseconds: number,
  signal?: AbortSignal,
  cancel = () => {},
): Promise<T> =>
  new Promise((resolve, reject) => {
    const end = (finish: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', stopped)
      finish()
    }
    const stop = (code: string) => {
      cancel()
      end(() => reject(failure(code, 'The name could not be looked up in time')))
    }
    const stopped = () => stop('ECANCELLED')
    const timer = setTimeout(() => stop('ETIMEOUT'), milliseconds)
    signal?.addEventListener('abort', stopped, { once: true })
    work.then(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    )
    if (signal?.aborted) stopped()
  })

export const createResolver = ({ clock }: { clock: Clock }, options: ResolverOptions = {}): Resolve => {
  const {
    isSystemName = () => false,
    servers,
    timeoutMs = LOOKUP_TIMEOUT_MS,
    failureMs = FAILURE_TTL_MS,
  } = options
  const local = hostsFileNames()
  const failures = new Map<string, { until: number; error: unknown }>()
  let systemLookups = 0

  const bySystem = (host: string, signal?: AbortSignal): Promise<LookupAddress[]> => {
    if (systemLookups >= MAX_SYSTEM_LOOKUPS) return Promise.reject(failure('EBUSY', 'Too many look-ups'))
    systemLookups++
    const looking = new Promise<LookupAddress[]>((resolve, reject) => {
      lookup(host, { all: true }, (error, addresses) => {
        systemLookups--
        if (error) reject(error)
        else resolve(addresses)
      })
    })
    return within(looking, timeoutMs, signal)
  }

  const byServers = async (host: string, signal?: AbortSignal): Promise<LookupAddress[]> => {
    const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / 2), tries: 2 })
    if (servers) resolver.setServers([...servers])
    const asked = Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
    const answers = await within(asked, timeoutMs, signal, () => resolver.cancel())
    const found = answers.flatMap((answer, at) =>
      answer.status === 'fulfilled'
        ? answer.value.map((address) => ({ address, family: at === 0 ? 4 : 6 }))
        : [],
    )
    const [first] = answers
    if (found.length === 0 && first.status === 'rejected') throw first.reason
    return found
  }

  const remember = (host: string, error: unknown) => {
    failures.delete(host)
    failures.set(host, { until: clock.now() + failureMs, error })
    for (const oldest of failures.keys()) {
      if (failures.size <= MAX_CACHED_NAMES) break
      failures.delete(oldest)
    }
  }

  return async (name, signal) => {
    const host = bare(name)
    const failed = failures.get(host)
    if (failed && failed.until > clock.now()) throw failed.error
    try {
      const isSystems = isLocalhost(host) || local.has(host) || isSystemName(host)
      const found = await (isSystems ? bySystem(host, signal) : byServers(host, signal))
      failures.delete(host)
      return found
    } catch (error) {
      // Who gave up waiting says nothing about the name.
      if (!signal?.aborted) remember(host, error)
      throw error
    }
  }
}
