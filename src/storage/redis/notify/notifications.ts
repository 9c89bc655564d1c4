import type { NotificationName } from '../../../notify/store/receipts.ts'
import type { Notification, NotifyStore } from '../../../notify/store/store.ts'
import { fromCursor, toCursor } from '../../cursor.ts'
import { createBoundedMap } from '../bounded-map.ts'
import { keepScript } from '../lua/notify/history/keep.ts'
import { scanPairs } from '../scan.ts'
import { text } from '../script.ts'
import { type NotifyDeps, parsed, split } from './deps.ts'
import { ALL, MARGIN, placeOf, referenceOf } from './rows/layout.ts'

/** Length of a reference in a cursor, behind eight bytes of time. */
const REFERENCE = 27

/** About how many are looked at in one go. */
const PAGE = 500

export interface Notifications
  extends Pick<NotifyStore, 'putNotification' | 'notification' | 'notifications'> {
  /** Keeps the notification; answers what is kept, and how long what belongs to it must live. */
  keep(notification: Notification): Promise<Kept>
  /** What was sent under the reference at that instant; remembered for a while. */
  sent(reference: string, sentAt: number): Promise<Notification | undefined>
  /** Where the receipts of a notification are; undefined when it is not kept. */
  placeOf(of: NotificationName): Promise<{ place: string; kept: Notification } | undefined>
  /** Where the receipts of all that is kept are, in pages. */
  places(): AsyncIterable<string[]>
  lifetime(notification: Notification): number
}

export interface Kept {
  reference: string
  kept: Notification
}

/** Rows from before notifications had `deliverBy`. */
export const withDefaults = (
  row: Omit<Notification, 'deliverBy'> & { deliverBy?: number },
): Notification => ({
  ...row,
  deliverBy: row.deliverBy ?? row.expiresAt,
})

/**
 * Notifications, once however many receive them, and the lists of what projects sent. A notification lies in a partition
 * that follows from its id, a list in a slot of its project: it is written after the notification, each time that is
 * kept, and whoever reads it believes only what he finds.
 */
export const createNotifications = ({ redis, ask, layout, clock }: NotifyDeps): Notifications => {
  const { client } = redis
  /** Delivery looks up the same notification for each of its receivers. */
  const lately = createBoundedMap<Promise<Notification | undefined>>(200)
  /** What is in its lists. */
  const listed = createBoundedMap<true>(10_000)

  const life = ({ createdAt, expiresAt }: Notification) =>
    Math.max(expiresAt - createdAt, expiresAt - clock.now(), 0) + MARGIN.copy

  const fetch = async (reference: string): Promise<Notification | undefined> => {
    const value = await ask(() => client.get(layout.notification(reference).key))
    const row = value === null ? undefined : parsed<Notification>(split(value)[1])
    return row && withDefaults(row)
  }

  const enlist = async (kept: Notification, reference: string) => {
    const place = placeOf(reference, kept.createdAt)
    if (listed.get(place)) return
    const lists = [layout.sent(kept.projectId), layout.sent(kept.projectId, kept.domain)]
    await Promise.all(
      lists.flatMap((list) => [
        ask(() => client.zadd(list, kept.createdAt, place)),
        ask(() => client.pexpire(list, life(kept), 'NX')),
        ask(() => client.pexpire(list, life(kept), 'GT')),
      ]),
    )
    listed.put(place, true)
  }

  const keep = async (notification: Notification): Promise<Kept> => {
    const reference = referenceOf(notification.projectId, notification.domain, notification.id)
    const { at, key } = layout.notification(reference)
    const { createdAt, expiresAt } = notification
    const args = [createdAt, expiresAt, life(notification), reference, JSON.stringify(notification)]
    const json = text(await ask(() => redis.script(keepScript, [key, at.notifications], args)))
    const row = parsed<Notification>(json)
    const kept = row ? withDefaults(row) : notification
    await enlist(kept, reference)
    return { reference, kept }
  }

  return {
    keep,
    lifetime: life,

    async sent(reference, sentAt) {
      // What is kept under a reference and was sent at an instant never changes.
      const place = placeOf(reference, sentAt)
      const known = lately.get(place) ?? fetch(reference)
      lately.put(place, known)
      const notification = await known.catch((error) => {
        lately.remove(place)
        throw error
      })
      if (notification?.createdAt === sentAt) return notification
      lately.remove(place)
      return undefined
    },

    async placeOf({ projectId, domain, id }) {
      const reference = referenceOf(projectId, domain, id)
      const kept = await fetch(reference)
      return kept && { place: placeOf(reference, kept.createdAt), kept }
    },

    async *places() {
      for (const p of ALL) {
        const { notifications } = layout.partition(p)
        const pages = scanPairs((cursor) => ask(() => client.zscan(notifications, cursor, 'COUNT', PAGE)))
        for await (const page of pages) {
          const references = page.map(([reference]) => reference)
          const keys = references.map((reference) => layout.notification(reference).key)
          const values = await ask(() => client.mget(...keys))
          const places = references.flatMap((reference, at) => {
            const row = values[at] ? parsed<Notification>(split(values[at])[1]) : undefined
            return row ? [placeOf(reference, row.createdAt)] : []
          })
          if (places.length > 0) yield places
        }
      }
    },

    async putNotification(notification) {
      return (await keep(notification)).kept
    },

    async notification(projectId, domain, id) {
      return fetch(referenceOf(projectId, domain, id))
    },

    async notifications(projectId, { domain, after, limit }) {
      const list = layout.sent(projectId, domain)
      const start = after === undefined ? undefined : Buffer.from(fromCursor(after, 8 + REFERENCE))
      const from = start?.readDoubleBE()
      const behind = start?.toString('latin1', 8)
      const notifications: Notification[] = []
      let last: string | undefined
      for (let offset = 0; ; ) {
        const places = await ask(() =>
          client.zrevrangebyscore(list, from ?? '+inf', '-inf', 'LIMIT', offset, limit + 1),
        )
        const found = await Promise.all(places.map((place) => fetch(referenceIn(place))))
        for (const [at, place] of places.entries()) {
          const notification = found[at]
          const reference = referenceIn(place)
          if (!notification || placeOf(reference, notification.createdAt) !== place) continue
          // Of the same instant, those with a greater reference were on the page before.
          if (behind !== undefined && notification.createdAt === from && reference >= behind) continue
          if (notifications.length === limit) return { notifications, next: last ?? null }
          notifications.push(notification)
          last = cursorOf(notification.createdAt, reference)
        }
        if (places.length <= limit) return { notifications, next: null }
        offset += places.length
      }
    },
  }
}

const referenceIn = (place: string): string => place.slice(0, REFERENCE)

const cursorOf = (createdAt: number, reference: string): string => {
  const bytes = Buffer.alloc(8 + REFERENCE)
  bytes.writeDoubleBE(createdAt)
  bytes.write(reference, 8, 'latin1')
  return toCursor(bytes)
}
