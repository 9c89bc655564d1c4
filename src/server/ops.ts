/**
 * For those who operate the server.
 *
 * | path       | answer                                                                               |
 * |------------|--------------------------------------------------------------------------------------|
 * | `/health`  | 200 while the process runs                                                           |
 * | `/ready`   | 200, or 503 with the reason while starting, stopping, or when the store or the relay |
 * |            | does not answer or the store takes no writes                                         |
 * | `/metrics` | text format of Prometheus; here, on a port of its own, or nowhere                    |
 */
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import type { PressureLevel } from '../platform/budgets/watermark.ts'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Metrics } from './telemetry/metrics.ts'

/** What `/ready` tells everybody who asks. */
export class NotReady extends Error {
  override readonly name = 'NotReady'
}

/** Resolves when the thing answers; rejects otherwise, with `NotReady` or a `ProtocolError` where it can say why. */
export type Check = () => Promise<void>

const CHECK_TIMEOUT_MS = 2_000

interface Outcome {
  name: string
  result: 'ok' | 'failed'
  reason?: string
}

const reasonOf = (error: unknown): string | undefined =>
  error instanceof NotReady || error instanceof ProtocolError ? error.message : undefined

export const opsRoutes = (deps: {
  checks: Record<string, Check>
  /** How full the store is: told while there is little room, which is no reason not to be ready. */
  pressure?: () => PressureLevel
  clock: Clock
  log: Log
}): Hono => {
  const { checks, pressure = () => 'ok', clock, log } = deps

  const outcome = async (name: string, check: Check): Promise<Outcome> => {
    const done = new AbortController()
    const late = pause(clock, CHECK_TIMEOUT_MS, done.signal).then(() => {
      throw new NotReady(`The ${name} gives no answer in time`)
    })
    late.catch(() => {})
    try {
      await Promise.race([check(), late])
      return { name, result: 'ok' }
    } catch (err) {
      log.debug({ err, check: name }, 'A check failed')
      const reason = reasonOf(err)
      return { name, result: 'failed', ...(reason !== undefined && { reason }) }
    } finally {
      done.abort()
    }
  }

  /** Whoever asks while a look is under way gets what that finds. */
  let looking: Promise<Outcome[]> | undefined
  const look = (): Promise<Outcome[]> => {
    looking ??= Promise.all(Object.entries(checks).map(([name, check]) => outcome(name, check))).finally(
      () => {
        looking = undefined
      },
    )
    return looking
  }

  const app = new Hono()
  app.use('/health', cors())
  app.use('/ready', cors())
  app.get('/health', (c) => c.json({ status: 'ok' }))
  app.get('/ready', async (c) => {
    const outcomes = await look()
    const isReady = outcomes.every(({ result }) => result === 'ok')
    const results = Object.fromEntries(outcomes.map(({ name, result }) => [name, result]))
    const reasons = outcomes.flatMap(({ reason }) => (reason === undefined ? [] : [reason]))
    c.header('Cache-Control', 'no-store')
    const level = pressure()
    return c.json(
      {
        ready: isReady,
        checks: results,
        ...(reasons.length > 0 && { reasons }),
        ...(level !== 'ok' && { pressure: level }),
      },
      isReady ? 200 : 503,
    )
  })
  return app
}

export const metricsRoutes = (metrics: Metrics): Hono => {
  const app = new Hono()
  app.get('/metrics', async (c) => c.body(await metrics.text(), 200, { 'Content-Type': metrics.contentType }))
  return app
}
