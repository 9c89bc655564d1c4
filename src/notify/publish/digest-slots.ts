/** When the digests of a subscription are due. All processes, and all retries, arrive at the same times. */
import { quietUntil } from '../../platform/runtime/quiet-hours.ts'
import { minutesOf, type Preferences } from '../../protocol/notify/preferences.ts'
import { nextTimeOfDay } from './wall-clock.ts'

const HOUR_MS = 3_600_000
/** 08:00. */
const DAILY_MINUTE = 480
/** Quiet hours put a slot off by less than a day, which may have an hour more. */
const MAX_PUT_OFF_MS = 25 * HOUR_MS

/**
 * The first slot after `after`, unix ms; undefined for a subscriber without a digest. A slot in quiet hours is put off to their
 * end.
 */
export const nextDigest = ({ digest, timeZone, quiet }: Preferences, after: number): number | undefined => {
  if (digest === undefined || digest === 'off') return undefined
  const zone = timeZone ?? quiet?.timeZone ?? 'UTC'
  const slot =
    digest === 'hourly'
      ? (Math.floor(after / HOUR_MS) + 1) * HOUR_MS
      : nextTimeOfDay(zone, DAILY_MINUTE, after)
  if (!quiet) return slot
  const to = minutesOf(quiet.to)
  const isQuiet =
    quietUntil({ from: minutesOf(quiet.from), to, timeZone: quiet.timeZone }, slot) !== undefined
  return isQuiet ? nextTimeOfDay(quiet.timeZone, to, slot) : slot
}

/** Whether it is a slot of these preferences, whichever of them it was planned for. */
export const isDigestSlot = (preferences: Preferences, slot: number): boolean => {
  if (nextDigest(preferences, slot - 1) === slot) return true
  if (!preferences.quiet) return false
  // The slot that was put off to it lies before it.
  for (let at: number | undefined = slot - MAX_PUT_OFF_MS; at !== undefined && at < slot; ) {
    at = nextDigest(preferences, at)
    if (at === slot) return true
  }
  return false
}
