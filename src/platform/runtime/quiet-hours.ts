/** Hours of each day in which a person wants to be left alone, in the time zone where they are. */
export interface QuietHours {
  /** Minutes since midnight. */
  from: number
  /** The same; before `from` it is that of the next day. */
  to: number
  /** As `Intl` names it. */
  timeZone: string
}

const MINUTE_MS = 60_000
const DAY_MINUTES = 1_440

const formatOf = (timeZone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })

/** Minutes since midnight. */
const minuteOf = (format: Intl.DateTimeFormat, now: number): number => {
  const parts = format.formatToParts(now)
  const at = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0)
  return at('hour') * 60 + at('minute')
}

const isQuietAt = (minute: number, { from, to }: QuietHours): boolean =>
  from <= to ? minute >= from && minute < to : minute >= from || minute < to

/**
 * When the quiet hours that it is in end, unix ms; undefined outside of them. A change of the clocks meanwhile makes it an hour
 * early or late: then it is looked at again.
 */
export const quietUntil = (hours: QuietHours, now: number): number | undefined => {
  const minute = minuteOf(formatOf(hours.timeZone), now)
  if (!isQuietAt(minute, hours)) return undefined
  const left = (hours.to - minute + DAY_MINUTES) % DAY_MINUTES
  return Math.floor(now / MINUTE_MS) * MINUTE_MS + left * MINUTE_MS
}

/** Time zones whose minute is remembered; there are some 600 names. */
const MAX_ZONES = 1_000

/** Whether somebody is in their quiet hours; for many people at one moment, so each time zone is looked at once a minute. */
export const createQuietCheck = (): ((hours: QuietHours, now: number) => boolean) => {
  const minutes = new Map<string, number>()
  let asOf = 0
  return (hours, now) => {
    const at = Math.floor(now / MINUTE_MS)
    if (at !== asOf || minutes.size >= MAX_ZONES) minutes.clear()
    asOf = at
    const minute = minutes.get(hours.timeZone) ?? minuteOf(formatOf(hours.timeZone), now)
    minutes.set(hours.timeZone, minute)
    return isQuietAt(minute, hours)
  }
}

/** Whether `Intl` knows the time zone. */
export const isTimeZone = (timeZone: string): boolean => {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone })
    return true
  } catch {
    return false
  }
}
