/** Counts the failed assertions that pass through the log, so that an alarm can be set on them. */
import { InvariantViolation } from '../../platform/invariant.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'

const isViolation = (thrown: unknown): boolean =>
  thrown instanceof InvariantViolation || (thrown instanceof Error && isViolation(thrown.cause))

/** The same log; what it is told of a failed assertion is counted in `invariant_violations_total`. */
export const countingViolations = (log: Log, meter: Meter): Log => {
  const line =
    (level: 'warn' | 'error') =>
    (fields: Record<string, unknown>, sentence: string): void => {
      if (isViolation(fields.err)) meter.count('invariant_violations_total')
      log[level](fields, sentence)
    }
  return { debug: log.debug, info: log.info, warn: line('warn'), error: line('error') }
}
