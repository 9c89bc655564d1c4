/**
 * The start on a store that is not there yet, or has no room: what needs it is tried again until it answers, with a sentence in the log,
 * and the port meanwhile says that the process lives (`/health`) but cannot serve (`/ready` and everything else: 503).
 */
import { Hono } from 'hono'
import { setRetryHeaders } from '../platform/net/http.ts'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Stores } from '../storage/stores.ts'
import { StartError } from './config/start-error.ts'
import { type Check, NotReady, opsRoutes } from './ops.ts'

/** Does the work, which bears repetition, until it is not `unavailable`. Rejects when the start is given up. */
export type UntilAvailable = <T>(work: () => Promise<T>) => Promise<T>

/** How long one attempt is waited for, and the time between two, ms. */
const ATTEMPT_TIMEOUT_MS = 3_000
const ATTEMPT_PAUSE_MS = 1_000

export const isUnavailable = (error: unknown): boolean =>
  error instanceof ProtocolError && error.code === 'unavailable'

/** Rejects when no waiting ends it. */
const refuseLost = async (lost: Promise<string>): Promise<never> => {
  throw new StartError([`${await lost}.`])
}

export const createUntilAvailable = (
  deps: {
    stores: Pick<Stores, 'lost'>
    clock: Clock
    log: Log
    signal: AbortSignal | undefined
  },
  { isEmbedded }: { isEmbedded: boolean },
): UntilAvailable => {
  const { stores, clock, log, signal = new AbortController().signal } = deps
  const [trouble, over] = isEmbedded
    ? ['The store does not take writes; the server starts when it does', 'The store takes writes']
    : ['Redis does not answer; the server starts when it does', 'Redis answers']
  const lost = refuseLost(stores.lost)
  lost.catch(() => {})
  return async (work) => {
    let hasFailed = false
    for (;;) {
      const done = new AbortController()
      const either = AbortSignal.any([signal, done.signal])
      const late = pause(clock, ATTEMPT_TIMEOUT_MS, either).then(() => {
        throw new ProtocolError('unavailable', 'no answer in time')
      })
      late.catch(() => {})
      try {
        const result = await Promise.race([work(), late, lost])
        if (hasFailed) log.info({}, `${over}; the start goes on`)
        return result
      } catch (err) {
        if (!isUnavailable(err) || signal.aborted) throw err
        hasFailed = true
        log.warn({ err }, trouble)
      } finally {
        done.abort()
      }
      await pause(clock, ATTEMPT_PAUSE_MS, signal)
    }
  }
}

export const startupRoutes = (deps: { clock: Clock; log: Log }, store: Check): Hono[] => {
  const process = async () => {
    throw new NotReady('The server is starting')
  }
  const rest = new Hono()
  rest.all('*', (c) => {
    const error = new ProtocolError('unavailable')
    setRetryHeaders(c, error)
    return c.json({ error: error.message, code: error.code }, error.http)
  })
  return [opsRoutes({ ...deps, checks: { store, process } }), rest]
}
