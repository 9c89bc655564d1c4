/**
 * Tells of a trouble once, not once for everybody who meets it. While the store is away every request, lane and timer
 * fails with `unavailable`, thousands a second; of the lines that say so with the same sentence one in ten seconds is
 * written, with how many were left out before it.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'

/** ms */
const REPEAT_AFTER_MS = 10_000

export const throttleLog = (log: Log, clock: Clock): Log => {
  /** Sentences are written in the source, so there are few. */
  const told = new Map<string, { until: number; leftOut: number }>()
  const line =
    (level: 'warn' | 'error') =>
    (fields: Record<string, unknown>, sentence: string): void => {
      const { err } = fields
      if (!(err instanceof ProtocolError) || err.code !== 'unavailable') {
        log[level](fields, sentence)
        return
      }
      const last = told.get(sentence)
      const now = clock.now()
      if (last && now < last.until) {
        last.leftOut++
        return
      }
      told.set(sentence, { until: now + REPEAT_AFTER_MS, leftOut: 0 })
      log[level](last && last.leftOut > 0 ? { ...fields, leftOut: last.leftOut } : fields, sentence)
    }
  return { debug: log.debug, info: log.info, warn: line('warn'), error: line('error') }
}
