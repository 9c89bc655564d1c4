/**
 * Link clicks by day, over the port, in the partition of their notification (`./click-rows.ts`).
 *
 * | table | key | value |
 * |---|---|---|
 * | notify.clickDays | UTC day, `2026-01-31` | clicks of this day, on all copies |
 *
 * Only days with clicks have a row, and only the newest `MAX_CLICK_DAYS` of them. Rows end with the notification.
 */
import { name } from '../../storage/bytes.ts'
import { float } from '../../storage/codec.ts'
import type { Check, Kv, Write } from '../../storage/kv.ts'
import { defineTable, mapped, type Read, read } from '../../storage/table.ts'
import type { ClickDay } from './clicks.ts'

export const CLICK_DAYS = defineTable({
  name: 'notify.clickDays',
  shape: 'ordered',
  codec: float,
  ends: true,
})

const MAX_CLICK_DAYS = 90

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)

/** Days with clicks, the first one first. */
export const clickDays = (partition: string): Read<ClickDay[]> =>
  mapped(CLICK_DAYS.in(partition).range({ limit: MAX_CLICK_DAYS }), (rows) =>
    rows.map(({ key, value: count }) => ({ day: key.toString(), count })),
  )

/** Clicks of each day. */
export const byDay = (instants: readonly number[]): Map<string, number> => {
  const days = new Map<string, number>()
  for (const day of instants.map(dayOf)) days.set(day, (days.get(day) ?? 0) + 1)
  return days
}

/** The part of a batch that adds clicks of these days. A new day takes the place of the oldest one beyond the bound. */
export const addDays = async (
  kv: Kv,
  partition: string,
  { days, expiresAt }: { days: ReadonlyMap<string, number>; expiresAt: number },
): Promise<{ checks: Check[]; writes: Write[] }> => {
  const set = CLICK_DAYS.in(partition)
  const names = [...days.keys()]
  const found = await read(
    kv,
    names.map((day) => set.get(name(day))),
  )
  const fresh = names.filter((_, nth) => found[nth]?.value === undefined)
  const kept = fresh.length > 0 ? (await read(kv, [set.keys({ limit: MAX_CLICK_DAYS })]))[0] : []
  const gone = [...kept.map(String), ...fresh].sort().slice(0, -MAX_CLICK_DAYS)
  const put = names.map((day, nth) =>
    set.put({ key: name(day), value: (found[nth]?.value ?? 0) + (days.get(day) ?? 0), expiresAt }),
  )
  return {
    checks: found.map(({ isUnchanged }) => isUnchanged),
    writes: [...put, ...gone.map((day) => set.remove(name(day)))],
  }
}

/** Puts days of another store there; one that is there stays as it is. */
export const restoreDays = async (
  kv: Kv,
  records: readonly (ClickDay & { partition: string; expiresAt: number })[],
  now: number,
): Promise<void> => {
  const batches = records.map(({ partition, day, count, expiresAt }) => ({
    partition,
    writes: [CLICK_DAYS.in(partition).create({ key: name(day), value: count, expiresAt })],
  }))
  await kv.commit(batches, now)
}
