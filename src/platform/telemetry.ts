/**
 * What a room may say about itself: a log, some numbers, and spans. `server/telemetry` implements them; a client
 * library gets `silent` and `unmeasured` unless its user passes better ones.
 */
export interface Log {
  debug(fields: Record<string, unknown>, sentence: string): void
  info(fields: Record<string, unknown>, sentence: string): void
  warn(fields: Record<string, unknown>, sentence: string): void
  error(fields: Record<string, unknown>, sentence: string): void
}

/** One piece of work, as whoever traces sees it. Nothing in it is a secret, an account, a topic or an address of anybody. */
export interface Span {
  set(attributes: SpanAttributes): void
}
export type SpanAttributes = Record<string, string | number>

/** Metric names are declared, with their help texts and label names, in `server/telemetry/metrics`. */
export interface Meter {
  /** Adds to a counter. */
  count(name: string, labels?: Record<string, string>, by?: number): void
  /** Sets a gauge. */
  gauge(name: string, value: number, labels?: Record<string, string>): void
  /** Records a duration in seconds in a histogram. */
  observe(name: string, seconds: number, labels?: Record<string, string>): void
  /** Whether somebody traces; where work is frequent, nothing is made ready for a span without it. */
  readonly traces: boolean
  /** Has the work done inside of a span; spans of what it calls become parts of it. It fails as the work fails. */
  span<T>(name: string, attributes: SpanAttributes, work: (span: Span) => Promise<T>): Promise<T>
}

const nothing = () => {}

export const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }

const UNSEEN: Span = { set: nothing }
/** Work that nobody traces. */
export const untraced: Pick<Meter, 'traces' | 'span'> = {
  traces: false,
  span: (_name, _attributes, work) => work(UNSEEN),
}
export const unmeasured: Meter = { count: nothing, gauge: nothing, observe: nothing, ...untraced }
