/**
 * Preferences: what a subscriber wants of an app beside the types; `prf` of a subscribe or update, `preferences` of an item
 * of `sbs`. All of it is ours. An update without `prf`, as published clients send it, leaves them as they are.
 */
import * as z from '#schema'

export interface Preferences {
  /** In these hours nothing that is not urgent wakes a closed device. Times are `HH:MM` of the time zone (IANA). */
  quiet?: { from: string; to: string; timeZone: string }
  /**
   * Nothing that is not urgent wakes a closed device; what came is told of once an hour (in UTC), or at 08:00. A digest in quiet
   * hours waits for their end.
   */
  digest?: 'off' | 'hourly' | 'daily'
  /** Of the daily digest (IANA); default: that of the quiet hours, else UTC. */
  timeZone?: string
}

const timeZone = z.string().min(1).max(64)
const clock = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'a time like 22:30')

export const preferences: z.ZodType<Preferences> = z.object({
  quiet: z.object({ from: clock, to: clock, timeZone }).exactOptional(),
  digest: z.enum(['off', 'hourly', 'daily']).exactOptional(),
  timeZone: timeZone.exactOptional(),
})

/** Minutes since midnight of a time like 22:30. */
export const minutesOf = (time: string): number => {
  const [hours = 0, minutes = 0] = time.split(':').map(Number)
  return hours * 60 + minutes
}
