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
import type { Device } from './store.ts'

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
