/**
 * What the console's charts show: the last hour of this process, a point every 10 s, in memory. Counters are kept as what was
 * added since the point before.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type Clock, pause } from '../../../platform/runtime/clock.ts'
import type { Log } from '../../../platform/telemetry.ts'

export const SAMPLE_EVERY_MS = 10_000
export const MAX_SAMPLES = 360
/** The event loop is looked at so often. */
const LAG_RESOLUTION_MS = 100

export interface Sample {
  at: number
  published: number
  delivered: number
  notifications: number
  connections: number
  outbox: number
  rssBytes: number
  lagMs: number
}

export interface Samples extends AsyncDisposable {
  all(): readonly Sample[]
  take(): Promise<void>
}

export const createSamples = (deps: {
  /** The sum of a metric over its labels, or over those whose `kind` begins so; 0 where it is not known. */
  valueOf: (name: string, kind?: string) => Promise<number>
  clock: Clock
  log: Log
}): Samples => {
  const { clock, log } = deps
  const ending = new AbortController()
  const samples: Sample[] = []
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  lag.enable()
  let before = { published: 0, delivered: 0, notifications: 0 }

  const take = async (): Promise<void> => {
    const totals = {
      published: await deps.valueOf('relay_messages_published_total'),
      delivered: await deps.valueOf('relay_messages_delivered_total'),
      notifications: await deps.valueOf('notify_deliveries_total', 'notification'),
    }
    const worst = Number.isFinite(lag.max) ? lag.max / 1e6 - LAG_RESOLUTION_MS : 0
    lag.reset()
    samples.push({
      at: clock.now(),
      published: totals.published - before.published,
      delivered: totals.delivered - before.delivered,
      notifications: totals.notifications - before.notifications,
      connections: await deps.valueOf('relay_connections'),
      outbox: await deps.valueOf('notify_outbox_size'),
      rssBytes: process.memoryUsage.rss(),
      lagMs: Math.max(0, Math.round(worst * 10) / 10),
    })
    before = totals
    if (samples.length > MAX_SAMPLES) samples.shift()
  }

  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      await take().catch((err: unknown) => log.warn({ err }, 'A point of the charts could not be taken'))
      await pause(clock, SAMPLE_EVERY_MS, ending.signal)
    }
  }
  const running = run()

  return {
    all: () => samples,
    take,
    async [Symbol.asyncDispose]() {
      ending.abort()
      lag.disable()
      await running
    },
  }
}
