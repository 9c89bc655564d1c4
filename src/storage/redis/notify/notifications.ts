import type { NotificationName } from '../../../notify/store/receipts.ts'
import type { Notification, NotifyStore } from '../../../notify/store/store.ts'
import { type BoundedMap, createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import { fromCursor, toCursor } from '../../cursor.ts'
import { keepScript } from '../lua/notify/history/keep.ts'
import { scanPairs } from '../scan.ts'
import { text } from '../script.ts'
import { type NotifyDeps, parsed, split, written } from './deps.ts'
import { ALL, receiptKeyOf, referenceOf, TTL_MARGIN_MS } from './rows/layout.ts'

/** Length of a reference in a cursor, behind eight bytes of time. */
const REFERENCE_LENGTH = 27

/** About how many are looked at in one go. */
const SCAN_COUNT = 500

export interface Notifications
  extends Pick<NotifyStore, 'putNotification' | 'notification' | 'notifications'> {
  /** Keeps the notification; returns what is kept, and how long what belongs to it must live. */
  keep(notification: Notification): Promise<Kept>
  /** What was sent under the reference at that instant; remembered for a while. */
  sent(reference: string, sentAt: number): Promise<Notification | undefined>
  /** Where the receipts of a notification are; undefined when it is not kept. */
  receiptKeyOf(of: NotificationName): Promise<{ receiptKey: string; notification: Notification } | undefined>
  /** Where the receipts of all that is kept are, in pages. */
  receiptKeys(): AsyncIterable<string[]>
  lifetime(notification: Notification): number
}

export interface Kept {
  reference: string
  notification: Notification
}

/** Rows from before notifications had `deliverBy`. */
export const withDefaults = (
  row: Omit<Notification, 'deliverBy'> & { deliverBy?: number },
): Notification => ({
  ...row,
  deliverBy: row.deliverBy ?? row.expiresAt,
})

/** Notifications that are cached, and those that are known to be listed. */
const RECENT_NOTIFICATIONS = 200
const REMEMBERED_LISTED_NOTIFICATIONS = 10_000

interface NotificationsDeps extends NotifyDeps {
  recent: BoundedMap<Promise<Notification | undefined>>
  listed: BoundedMap<true>
}

const life = (deps: NotificationsDeps, { createdAt, expiresAt }: Notification) =>
  Math.max(expiresAt - createdAt, expiresAt - deps.clock.now(), 0) + TTL_MARGIN_MS.copy

const fetch = async (deps: NotificationsDeps, reference: string): Promise<Notification | undefined> => {
  const value = await deps.ask(() => deps.redis.client.get(deps.layout.notification(reference).key))
  const row = value === null ? undefined : parsed('notifications', split(value)[1])
  return row && withDefaults(row)
}

const enlist = async (deps: NotificationsDeps, notification: Notification, reference: string) => {
  const receiptKey = receiptKeyOf(reference, notification.createdAt)
  if (deps.listed.get(receiptKey)) return
  const lists = [
    deps.layout.sent(notification.projectId),
    deps.layout.sent(notification.projectId, notification.domain),
  ]
  await Promise.all(
    lists.flatMap((list) => [
      deps.ask(() => deps.redis.client.zadd(list, notification.createdAt, receiptKey)),
      deps.ask(() => deps.redis.client.pexpire(list, life(deps, notification), 'NX')),
      deps.ask(() => deps.redis.client.pexpire(list, life(deps, notification), 'GT')),
    ]),
  )
  deps.listed.put(receiptKey, true)
}

const keep = async (deps: NotificationsDeps, notification: Notification): Promise<Kept> => {
  const reference = referenceOf(notification.projectId, notification.domain, notification.id)
  const { at, key } = deps.layout.notification(reference)
  const { createdAt, expiresAt } = notification
  const args = [
    createdAt,
    expiresAt,
    life(deps, notification),
    reference,
    written('notifications', notification),
  ]
  const json = text(await deps.ask(() => deps.redis.script(keepScript, [key, at.notifications], args)))
  const row = parsed('notifications', json)
  const stored = row ? withDefaults(row) : notification
  await enlist(deps, stored, reference)
  return { reference, notification: stored }
}

const receiptKeyVerbs = (
  deps: NotificationsDeps,
): Pick<Notifications, 'sent' | 'receiptKeyOf' | 'receiptKeys'> => ({
  async sent(reference, sentAt) {
    // What is kept under a reference and was sent at an instant never changes.
    const receiptKey = receiptKeyOf(reference, sentAt)
    const known = deps.recent.get(receiptKey) ?? fetch(deps, reference)
    deps.recent.put(receiptKey, known)
    const notification = await known.catch((error) => {
      deps.recent.remove(receiptKey)
      throw error
    })
    if (notification?.createdAt === sentAt) return notification
    deps.recent.remove(receiptKey)
    return undefined
  },

  async receiptKeyOf({ projectId, domain, id }) {
    const reference = referenceOf(projectId, domain, id)
    const notification = await fetch(deps, reference)
    return notification && { receiptKey: receiptKeyOf(reference, notification.createdAt), notification }
  },

  async *receiptKeys() {
    for (const p of ALL) {
      const { notifications } = deps.layout.partition(p)
      const pages = scanPairs((cursor) =>
        deps.ask(() => deps.redis.client.zscan(notifications, cursor, 'COUNT', SCAN_COUNT)),
      )
      for await (const page of pages) {
        const references = page.map(([reference]) => reference)
        const keys = references.map((reference) => deps.layout.notification(reference).key)
        const values = await deps.ask(() => deps.redis.client.mget(...keys))
        const receiptKeys = references.flatMap((reference, at) => {
          const row = values[at] ? parsed('notifications', split(values[at])[1]) : undefined
          return row ? [receiptKeyOf(reference, row.createdAt)] : []
        })
        if (receiptKeys.length > 0) yield receiptKeys
      }
    }
  },
})

const listVerbs = (
  deps: NotificationsDeps,
): Pick<Notifications, 'putNotification' | 'notification' | 'notifications'> => ({
  async putNotification(notification) {
    return (await keep(deps, notification)).notification
  },

  async notification(projectId, domain, id) {
    return fetch(deps, referenceOf(projectId, domain, id))
  },

  async notifications(projectId, { domain, after, limit }) {
    const list = deps.layout.sent(projectId, domain)
    const start = after === undefined ? undefined : Buffer.from(fromCursor(after, 8 + REFERENCE_LENGTH))
    const from = start?.readDoubleBE()
    const behind = start?.toString('latin1', 8)
    const notifications: Notification[] = []
    let last: string | undefined
    for (let offset = 0; ; ) {
      const receiptKeys = await deps.ask(() =>
        deps.redis.client.zrevrangebyscore(list, from ?? '+inf', '-inf', 'LIMIT', offset, limit + 1),
      )
      const found = await Promise.all(receiptKeys.map((receiptKey) => fetch(deps, referenceIn(receiptKey))))
      for (const [at, receiptKey] of receiptKeys.entries()) {
        const notification = found[at]
        const reference = referenceIn(receiptKey)
        if (!notification || receiptKeyOf(reference, notification.createdAt) !== receiptKey) continue
        // Of the same instant, those with a greater reference were on the page before.
        if (behind !== undefined && notification.createdAt === from && reference >= behind) continue
        if (notifications.length === limit) return { notifications, next: last ?? null }
        notifications.push(notification)
        last = cursorOf(notification.createdAt, reference)
      }
      if (receiptKeys.length <= limit) return { notifications, next: null }
      offset += receiptKeys.length
    }
  },
})

/**
 * Notifications, once however many receive them, and the lists of what projects sent. A notification lies in a partition
 * that follows from its id, a list in a slot of its project: it is written after the notification, each time that is
 * kept, and whoever reads it believes only what he finds.
 */
export const createNotifications = (shared: NotifyDeps): Notifications => {
  const deps: NotificationsDeps = {
    ...shared,
    recent: createBoundedMap<Promise<Notification | undefined>>(RECENT_NOTIFICATIONS),
    listed: createBoundedMap<true>(REMEMBERED_LISTED_NOTIFICATIONS),
  }

  return {
    ...receiptKeyVerbs(deps),
    ...listVerbs(deps),
    keep: (notification) => keep(deps, notification),
    lifetime: (argument0) => life(deps, argument0),
  }
}

const referenceIn = (receiptKey: string): string => receiptKey.slice(0, REFERENCE_LENGTH)

const cursorOf = (createdAt: number, reference: string): string => {
  const bytes = Buffer.alloc(8 + REFERENCE_LENGTH)
  bytes.writeDoubleBE(createdAt)
  bytes.write(reference, 8, 'latin1')
  return toCursor(bytes)
}
