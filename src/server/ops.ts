/**
 * For those who operate the server.
 *
 * | path       | answer                                                                               |
 * |------------|--------------------------------------------------------------------------------------|
 * | `/health`  | 200 while the process runs                                                           |
 * | `/ready`   | 200, or 503 while starting, stopping, or when the store or the relay does not answer |
 * | `/metrics` | text format of Prometheus; here, on a port of its own, or nowhere                    |
 */
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { type Clock, pause } from '../platform/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import type { Metrics } from './metrics.ts'

/** Resolves when the thing answers; rejects otherwise. */
export type Check = () => Promise<void>

const PATIENCE = 2_000

export const opsRoutes = (deps: { checks: Record<string, Check>; clock: Clock; log: Log }): Hono => {
  const { checks, clock, log } = deps

  const outcome = async (name: string, check: Check): Promise<[string, string]> => {
    const done = new AbortController()
    const late = pause(clock, PATIENCE, done.signal).then(() => {
      throw new Error('no answer in time')
    })
    late.catch(() => {})
    try {
      await Promise.race([check(), late])
      return [name, 'ok']
    } catch (err) {
      log.debug({ err, check: name }, 'A check failed')
      return [name, 'failed']
    } finally {
      done.abort()
    }
  }

  const app = new Hono()
  app.use('/health', cors())
  app.use('/ready', cors())
  app.get('/health', (c) => c.json({ status: 'ok' }))
  app.get('/ready', async (c) => {
    const outcomes = await Promise.all(Object.entries(checks).map(([name, check]) => outcome(name, check)))
    const isReady = outcomes.every(([, result]) => result === 'ok')
    c.header('Cache-Control', 'no-store')
    return c.json({ ready: isReady, checks: Object.fromEntries(outcomes) }, isReady ? 200 : 503)
  })
  return app
}

export const metricsRoutes = (metrics: Metrics): Hono => {
  const app = new Hono()
  app.get('/metrics', async (c) => c.body(await metrics.text(), 200, { 'Content-Type': metrics.contentType }))
  return app
}
