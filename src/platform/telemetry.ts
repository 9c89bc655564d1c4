/**
 * What a room may say about itself: a log and some numbers. `server/telemetry/log` and `server/telemetry/metrics` implement them; a client
 * library gets `silent` and `unmeasured` unless its user passes better ones.
 */
export interface Log {
  debug(fields: Record<string, unknown>, sentence: string): void
  info(fields: Record<string, unknown>, sentence: string): void
  warn(fields: Record<string, unknown>, sentence: string): void
  error(fields: Record<string, unknown>, sentence: string): void
}

/** Metric names are declared, with their help texts and label names, in `server/telemetry/metrics`. */
export interface Meter {
  /** Adds to a counter. */
  count(name: string, labels?: Record<string, string>, by?: number): void
  /** Sets a gauge. */
  gauge(name: string, value: number, labels?: Record<string, string>): void
  /** Records a duration in seconds in a histogram. */
  observe(name: string, seconds: number, labels?: Record<string, string>): void
}

const nothing = () => {}

export const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
export const unmeasured: Meter = { count: nothing, gauge: nothing, observe: nothing }
