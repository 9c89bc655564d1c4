/**
 * Followed links over the port. The partition is the notification, because its clicks change together.
 *
 * | table | key | value |
 * |---|---|---|
 * | notify.clicks | copy id | clicks of this copy, when the first one was |
 * | notify.clicked | – | the notification's names; clicks of all copies, when the first one was, how many copies |
 *
 * Clicks by day stand in `./click-days.ts`. A click checks every row that it counts on, so two at once both count. All rows end with the notification.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import { name } from '../../storage/bytes.ts'
import { json } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'
import { addDays, byDay, CLICK_DAYS, clickDays, restoreDays } from './click-days.ts'
import type { ClickedNotification, ClickStore, CopyClicks } from './clicks.ts'
import type { Notification } from './records.ts'

const clickedSchema = z.object({
  projectId: z.string(),
  domain: z.string(),
  notificationId: z.string(),
  sentAt: z.number(),
  expiresAt: z.number(),
  count: z.number(),
  firstAt: z.number(),
  copies: z.number(),
})

export const CLICK_TABLES = {
  clicks: defineTable({
    name: 'notify.clicks',
    shape: 'map',
    codec: json(z.tuple([z.number(), z.number()])),
    ends: true,
  }),
  clicked: defineTable({ name: 'notify.clicked', shape: 'cell', codec: json(clickedSchema), ends: true }),
  days: CLICK_DAYS,
}

/** An id may be used again when its notification has expired: its time tells the two apart. */
const partitionOf = ({ projectId, domain, notificationId, sentAt }: ClickedNotification): string => {
  const hash = createHash('sha256').update([projectId, domain, sentAt, notificationId].join('\0'))
  return `clicks ${hash.digest('base64url')}`
}

const setsOf = (notification: ClickedNotification) => {
  const partition = partitionOf(notification)
  const { clicks, clicked } = CLICK_TABLES
  return { partition, clicks: clicks.in(partition), clicked: clicked.in(partition) }
}

const namesOf = ({ projectId, domain, id, createdAt, expiresAt }: Notification): ClickedNotification => ({
  projectId,
  domain,
  notificationId: id,
  sentAt: createdAt,
  expiresAt,
})

/** Clicks of one copy that are added. */
type Added = Pick<CopyClicks, 'copyId' | 'count' | 'firstAt'>
/** Clicks of each day that are added. */
const NO_DAYS: ReadonlyMap<string, number> = new Map()

/** Adds clicks of copies of one notification, and of days; `isRestore`: a copy that has some stays as it is. */
const add = (
  kv: Kv,
  names: ClickedNotification,
  added: readonly Added[],
  { now, days = NO_DAYS, isRestore = false }: { now: number; days?: typeof NO_DAYS; isRestore?: boolean },
): Promise<void> => {
  const { partition, clicks, clicked } = setsOf(names)
  const { expiresAt } = names
  return transact(kv, now, async () => {
    const rows = added.map(({ copyId }) => clicks.get(name(copyId)))
    const [[all, ...found], ofDays] = await Promise.all([
      read(kv, [clicked.get(), ...rows]),
      addDays(kv, partition, { days, expiresAt }),
    ])
    const sum = { ...(all.value ?? { ...names, count: 0, firstAt: Number.POSITIVE_INFINITY, copies: 0 }) }
    const writes = added.flatMap(({ copyId, count, firstAt }, nth) => {
      const known = found[nth]?.value
      if (known && isRestore) return []
      sum.count += count
      sum.firstAt = Math.min(sum.firstAt, firstAt)
      sum.copies += known ? 0 : 1
      const [before, first] = known ?? [0, firstAt]
      return [clicks.put({ key: name(copyId), value: [before + count, Math.min(first, firstAt)], expiresAt })]
    })
    if (writes.length === 0) return { answer: undefined }
    const checks = [...[all, ...found].map(({ isUnchanged }) => isUnchanged), ...ofDays.checks]
    writes.push(clicked.put({ value: sum, expiresAt }), ...ofDays.writes)
    return { answer: undefined, batch: { partition, checks, writes } }
  })
}

/** Clicks of each copy. */
const byCopy = (followed: readonly { copyId: string; at: number }[]): Added[] => {
  const copies = new Map<string, Added>()
  for (const { copyId, at } of followed) {
    const known = copies.get(copyId)
    if (known) known.count += 1
    else copies.set(copyId, { copyId, count: 1, firstAt: at })
  }
  return [...copies.values()]
}

/** Clicks on one notification that come while others are being counted are counted together: a crowd costs few commits. */
const createCounting = (kv: Kv) => {
  const lock = createKeyedLock()
  const waiting = new Map<string, { followed: { copyId: string; at: number }[]; counted: Promise<void> }>()
  return (names: ClickedNotification, copyId: string, at: number): Promise<void> => {
    const partition = partitionOf(names)
    const group = waiting.get(partition)
    if (group) {
      group.followed.push({ copyId, at })
      return group.counted
    }
    const own = { followed: [{ copyId, at }], counted: Promise.resolve() }
    waiting.set(partition, own)
    own.counted = lock(partition, () => {
      waiting.delete(partition)
      const days = byDay(own.followed.map((one) => one.at))
      return add(kv, names, byCopy(own.followed), { now: at, days })
    })
    return own.counted
  }
}

export const createClickStore = (kv: Kv): ClickStore => {
  const count = createCounting(kv)
  return {
    async click(notification, deliveredId, at) {
      await count(namesOf(notification), deliveredId, at)
    },

    async clicks(notification) {
      const { partition, clicked } = setsOf(namesOf(notification))
      const [{ value }, days] = await read(kv, [clicked.get(), clickDays(partition)])
      return value && { count: value.count, firstAt: value.firstAt, copies: value.copies, days }
    },

    async copyClicks(notification, deliveredId) {
      const { clicks } = setsOf(namesOf(notification))
      const [{ value }] = await read(kv, [clicks.get(name(deliveredId))])
      return value && { count: value[0], firstAt: value[1] }
    },

    async restoreClicks(records, now) {
      const groups = new Map<string, CopyClicks[]>()
      for (const record of records) {
        const partition = partitionOf(record)
        const group = groups.get(partition)
        if (group) group.push(record)
        else groups.set(partition, [record])
      }
      await Promise.all(
        [...groups.values()].map(async (group) => {
          const [one] = group
          if (!one) return
          const { copyId: _, count: __, firstAt: ___, ...names } = one
          await add(kv, names, group, { now, isRestore: true })
        }),
      )
    },

    async restoreClickDays(records, now) {
      const placed = records.map((record) => ({ ...record, partition: partitionOf(record) }))
      await restoreDays(kv, placed, now)
    },
  }
}
