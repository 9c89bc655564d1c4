/** Times of day where a person is. */
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
/** An hour may be skipped or come twice, a day never. */
const MAX_DAYS = 3

/** How far the clocks of the time zone are ahead of UTC, ms. */
const createOffsetAt = (timeZone: string): ((at: number) => number) => {
  if (timeZone === 'UTC') return () => 0
  const format = new Intl.DateTimeFormat('en-GB', {
    ...{ timeZone, year: 'numeric', month: '2-digit', day: '2-digit' },
    ...{ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  })
  return (at) => {
    const whole = Math.floor(at / MINUTE_MS) * MINUTE_MS
    const parts = format.formatToParts(whole)
    const of = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0)
    return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute')) - whole
  }
}

/**
 * When it is that time of day for the first time after `after`, unix ms; `minute` since midnight. A time that a change of the
 * clocks skips comes as much later as they were put forward.
 */
export const nextTimeOfDay = (timeZone: string, minute: number, after: number): number => {
  const offsetAt = createOffsetAt(timeZone)
  const midnight = Math.floor((after + offsetAt(after)) / DAY_MS) * DAY_MS
  for (let day = 0; day < MAX_DAYS; day++) {
    const wall = midnight + day * DAY_MS + minute * MINUTE_MS
    const at = wall - offsetAt(wall - offsetAt(wall))
    if (at > after) return at
  }
  throw new Error(`${timeZone} has no such time of day`)
}
