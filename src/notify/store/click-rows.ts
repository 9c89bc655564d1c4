/**
 * Followed links over the port. The partition is the notification, because its clicks change together.
 *
 * | table | key | value |
 * |---|---|---|
 * | notify.clicks | copy id | clicks of this copy, when the first one was |
 * | notify.clicked | – | the notification's names; clicks of all copies, when the first one was, how many copies |
 *
 * A click checks every row that it counts on, so two at once both count. All rows end with the notification.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { name } from '../../storage/bytes.ts'
import { json } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'
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

/** Clicks of copies of one notification. */
const restoreOne = (
  kv: Kv,
  { names, records, now }: { names: ClickedNotification; records: readonly CopyClicks[]; now: number },
): Promise<void> => {
  const { partition, clicks, clicked } = setsOf(names)
  const { expiresAt } = names
  return transact(kv, now, async () => {
    const [all] = await read(kv, [clicked.get()])
    const there = await read(
      kv,
      records.map(({ copyId }) => clicks.get(name(copyId))),
    )
    const missing = records.filter((_, at) => there[at]?.value === undefined)
    if (missing.length === 0) return { answer: undefined }
    const next = { ...names, ...(all.value ?? { count: 0, firstAt: Number.POSITIVE_INFINITY, copies: 0 }) }
    for (const { count, firstAt } of missing) {
      next.count += count
      next.firstAt = Math.min(next.firstAt, firstAt)
      next.copies += 1
    }
    const rows = missing.map(({ copyId, count, firstAt }) =>
      clicks.put({ key: name(copyId), value: [count, firstAt], expiresAt }),
    )
    // Whoever adds a copy changes the sum, which was read before the copies were.
    const checks = [all.isUnchanged]
    return {
      answer: undefined,
      batch: { partition, checks, writes: [...rows, clicked.put({ value: next, expiresAt })] },
    }
  })
}

export const createClickStore = (kv: Kv): ClickStore => ({
  click(notification, deliveredId, at) {
    const names = namesOf(notification)
    const { expiresAt } = names
    const { partition, clicks, clicked } = setsOf(names)
    const key = name(deliveredId)
    return transact(kv, at, async () => {
      const [one, all] = await read(kv, [clicks.get(key), clicked.get()])
      const [count, firstAt] = one.value ?? [0, at]
      const sum = all.value ?? { ...names, count: 0, firstAt: at, copies: 0 }
      const copies = sum.copies + (one.value ? 0 : 1)
      const checks = [one.isUnchanged, all.isUnchanged]
      const writes = [
        clicks.put({ key, value: [count + 1, firstAt], expiresAt }),
        clicked.put({ value: { ...sum, count: sum.count + 1, copies }, expiresAt }),
      ]
      return { answer: undefined, batch: { partition, checks, writes } }
    })
  },

  async clicks(notification) {
    const [{ value }] = await read(kv, [setsOf(namesOf(notification)).clicked.get()])
    return value && { count: value.count, firstAt: value.firstAt, copies: value.copies }
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
        const [first] = group
        if (!first) return
        const { copyId: _, count: __, firstAt: ___, ...names } = first
        await restoreOne(kv, { names, records: group, now })
      }),
    )
  },
})
