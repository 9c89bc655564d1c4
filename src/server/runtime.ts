/** What the server is given from outside, with its defaults: time, randomness, log and metrics. */
import { randomBytes as nodeRandomBytes } from 'node:crypto'
import { type Clock, systemClock } from '../platform/runtime/clock.ts'
import { type Log, silent } from '../platform/telemetry.ts'
import { throttleLog } from './telemetry/log-throttle.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { countingViolations } from './telemetry/violation-counter.ts'

export interface ServerDeps {
  clock?: Clock
  log?: Log
  randomBytes?: (length: number) => Uint8Array
  /** Default: made here. */
  metrics?: Metrics
  /** Ends the wait for a store that does not answer. */
  signal?: AbortSignal
}

export interface Runtime {
  clock: Clock
  /** Throttled, and counting failed assertions. */
  log: Log
  metrics: Metrics
  randomBytes: (length: number) => Uint8Array
}

export const createRuntime = (deps: ServerDeps): Runtime => {
  const { clock = systemClock } = deps
  const throttled = throttleLog(deps.log ?? silent, clock)
  const metrics = deps.metrics ?? createMetrics({ log: throttled })
  return {
    clock,
    log: countingViolations(throttled, metrics),
    metrics,
    randomBytes: deps.randomBytes ?? ((length) => new Uint8Array(nodeRandomBytes(length))),
  }
}
