/**
 * How the server is at this moment, for the console's overview. What is of this process alone is under `process`.
 *
 * | method, path        | answer                                                                             |
 * |---------------------|------------------------------------------------------------------------------------|
 * | GET /admin/status   | `{process, store, outbox, jobs}`; `outbox` is null where there is no notify room   |
 * | GET /admin/samples  | `{everySeconds, samples}`: the last hour of this process                           |
 */
import { Hono } from 'hono'
import type { Space } from '../../../platform/budgets/watermark.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { StoreHealth } from '../../../storage/stores.ts'
import { SAMPLE_EVERY_MS, type Samples } from './samples.ts'

export interface StatusDeps {
  process: {
    url: string
    version: string
    rooms: readonly string[]
    startedAt: number
    isHealthy: () => boolean
  }
  store: {
    health(): Promise<StoreHealth>
    measure(): Promise<Space>
    pressure: () => string
    trouble: () => string | undefined
  }
  outbox: { size(): Promise<number>; entries(): AsyncIterable<{ createdAt: number }> } | undefined
  /** Of all queues; undefined where the engine would have to count. */
  jobs: { waiting(): Promise<number | undefined>; dead(): Promise<number | undefined> }
  samples: Pick<Samples, 'all'>
  clock: Pick<Clock, 'now'>
}

/** The oldest of so many entries is told. The embedded store has them in their order, so there it is exact. */
const OLDEST_OF = 500
/** So long an age is repeated, ms: it costs a walk. */
const REMEMBER_AGE_MS = 5_000

const createOldest = () => {
  let known = { at: Number.NEGATIVE_INFINITY, oldest: undefined as number | undefined }
  return async ({ outbox, clock }: StatusDeps, size: number): Promise<number | undefined> => {
    if (size === 0 || !outbox) return undefined
    const now = clock.now()
    if (now < known.at + REMEMBER_AGE_MS) return known.oldest
    let oldest: number | undefined
    let seen = 0
    for await (const { createdAt } of outbox.entries()) {
      oldest = Math.min(oldest ?? createdAt, createdAt)
      if (++seen === OLDEST_OF) break
    }
    known = { at: now, oldest }
    return oldest
  }
}

export const adminStatus = (room: () => StatusDeps): Hono => {
  const app = new Hono()
  const oldestOf = createOldest()

  app.get('/admin/status', async (c) => {
    const deps = room()
    const { store, outbox, jobs } = deps
    const [health, space, size, waiting, dead] = await Promise.all([
      store.health(),
      store.measure(),
      outbox?.size() ?? 0,
      jobs.waiting(),
      jobs.dead(),
    ])
    const oldest = await oldestOf(deps, size)
    const { isHealthy, startedAt, ...named } = deps.process
    const { rss, heapUsed } = process.memoryUsage()
    return c.json({
      process: {
        ...named,
        ...{ pid: process.pid, node: process.version, rssBytes: rss, heapBytes: heapUsed },
        startedAt: new Date(startedAt).toISOString(),
        isHealthy: isHealthy(),
      },
      store: { health, space, pressure: store.pressure(), trouble: store.trouble() ?? null },
      outbox: outbox
        ? { size, oldestAt: oldest === undefined ? null : new Date(oldest).toISOString() }
        : null,
      jobs: { waiting: waiting ?? null, dead: dead ?? null },
    })
  })

  app.get('/admin/samples', (c) =>
    c.json({ everySeconds: SAMPLE_EVERY_MS / 1000, samples: room().samples.all() }),
  )
  return app
}
