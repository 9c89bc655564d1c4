/**
 * What wakes a device, and when.
 *
 * | rank | tags |
 * |---|---|
 * | 3 | 1100 session proposal, 1108 session request, 1116 authentication, 3000 authentication request |
 * | 2 | 4002 notification, 2000 chat invite, 2002 chat message |
 * | 1 | others that their publisher wants to prompt (`prompt: true`) |
 *
 * Never: `prompt: false`, whatever the tag; answers and what keeps devices in step (`SILENT_TAGS`), whatever the prompt.
 */
import type { Device, QuietHours } from './store.ts'

const RANKS: ReadonlyMap<number, number> = new Map([
  ...[1100, 1108, 1116, 3000].map((tag) => [tag, 3] as const),
  ...[4002, 2000, 2002].map((tag) => [tag, 2] as const),
])
/** Sessions that end, are extended or pinged; what the notify server tells devices; requests that only a server reads. */
const SILENT_TAGS: ReadonlySet<number> = new Set([
  ...[0, 1000, 1002, 1102, 1104, 1106, 1110, 1112, 1114],
  ...[2004, 2006, 3002],
  ...[4000, 4004, 4008, 4010, 4012, 4014, 4016, 4018, 4050],
])

/** How strongly a message wakes; 0 when it does not. Answers have odd tags. */
export const rankOf = (tag: number, prompt: boolean | undefined): number => {
  if (prompt === false || tag % 2 === 1 || SILENT_TAGS.has(tag)) return 0
  return RANKS.get(tag) ?? (prompt === true ? 1 : 0)
}

/** Whether the message may wake, as far as its tag says. What was published long ago has no prompt any more. */
export const mayWake = (tag: number): boolean => rankOf(tag, undefined) > 0

export const isWanted = ({ tags }: Pick<Device, 'tags'>, tag: number): boolean => tags?.includes(tag) ?? true

const MINUTE_MS = 60_000
const DAY_MINUTES = 1_440

/** Minutes since midnight in the time zone. */
const minuteOf = (now: number, timeZone: string): number => {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(now)
  const at = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0)
  return at('hour') * 60 + at('minute')
}

/**
 * When the quiet hours that it is in end, unix ms; undefined outside of them. A change of the clocks meanwhile makes it an hour
 * early or late: then it is looked at again.
 */
export const quietUntil = ({ from, to, timeZone }: QuietHours, now: number): number | undefined => {
  const minute = minuteOf(now, timeZone)
  const isQuiet = from <= to ? minute >= from && minute < to : minute >= from || minute < to
  if (!isQuiet) return undefined
  const left = (to - minute + DAY_MINUTES) % DAY_MINUTES
  return Math.floor(now / MINUTE_MS) * MINUTE_MS + left * MINUTE_MS
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
