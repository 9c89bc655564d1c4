import { REPLACED } from '../../../notify/store/receipts.ts'
import type { Notification, NotifyStore } from '../../../notify/store/store.ts'
import { key, name, number, PRESENT } from '../bytes.ts'
import type { Env } from '../env.ts'
import { type Copies, notificationKey } from './copies.ts'
import type { Outbox } from './outbox.ts'
import type { ReceiptRows } from './receipt-rows.ts'
import { expiryKey, nextNumber, sentKeys, type Tables } from './tables.ts'

type Handing = Pick<NotifyStore, 'putNotification' | 'notification' | 'hand'>
type Target = Parameters<NotifyStore['hand']>[1][number]

/** Targets of one transaction: a hand-over to thousands must not hold up everybody else. */
const HAND_BATCH = 500

/** Keeps notifications, and hands them over to subscribers. */
export const createLmdbHanding = (
  env: Env,
  tables: Tables,
  rows: { copies: Copies; receipts: ReceiptRows },
  outbox: Outbox,
): Handing => {
  const { notificationIds } = tables
  const { copies, receipts } = rows

  /** The number under which the notification is kept; keeps it if it is not there. Within a transaction. */
  const keep = (notification: Notification): number => {
    const at = notificationKey(notification)
    const known = notificationIds.get(at)
    const kept = known === undefined ? undefined : copies.notification(known)
    if (known !== undefined && kept && kept.expiresAt > notification.createdAt) return known
    const m = nextNumber(tables, 'notification')
    notificationIds.put(at, m)
    tables.notifications.put(number(m), notification)
    for (const place of sentKeys(notification, m)) tables.sent.put(place, PRESENT)
    tables.expiry.put(expiryKey(notification.expiresAt, 'notification', number(m)), PRESENT)
    return m
  }

  /** Withdraws the last copy with this key, if the wallet does not have it, and puts the new one in its place. */
  const collapse = (
    n: number,
    { accountKey, deliveredId, outbox: { createdAt } }: Target,
    { collapseKey = '', expiresAt }: Notification,
    remove: (id: string) => boolean,
  ) => {
    const at = collapsingKey(n, collapseKey)
    const last = tables.collapsing.get(at)
    const copy = last && copies.byId(last[0])
    if (copy?.n === n && !copy.isRead) {
      const failed = { state: 'failed', reason: REPLACED, at: createdAt } as const
      if (receipts.move(copy.m, accountKey, copy.id, ['published', 'queued'], failed)) {
        copies.withdraw(copy)
        remove(copy.id)
      }
    }
    tables.collapsing.put(at, [deliveredId, expiresAt])
    tables.expiry.put(expiryKey(expiresAt, 'collapsing', at), PRESENT)
  }

  const handOne = (
    { m, notification, isUsed }: { m: number; notification: Notification; isUsed: boolean },
    target: Target,
    now: number,
    remove: (id: string) => boolean,
  ) => {
    const { accountKey, account, subscriptionId, deliveredId, outbox: entry } = target
    const { createdAt: sentAt, expiresAt } = notification
    const holder = copies.subscription(subscriptionId)
    if (holder?.accountKey !== accountKey) return 'gone'
    const earlier = copies.place(deliveredId)
    if (earlier && earlier.expiresAt > now) return 'repeated'
    if (earlier?.n === holder.number) {
      // It expired and was not swept: the id begins again.
      const copy = copies.byId(deliveredId)
      if (copy) copies.withdraw(copy)
      tables.expiry.remove(expiryKey(earlier.expiresAt, 'copy', name(deliveredId)))
    }
    if (notification.collapseKey !== undefined) collapse(holder.number, target, notification, remove)
    // Read again: what was withdrawn above counted.
    const { unread } = copies.subscription(subscriptionId) ?? holder
    const copy = { id: deliveredId, sentAt, isRead: false, m, expiresAt }
    copies.put(subscriptionId, { ...holder, unread }, copy)
    // The account may have been refused, or had another subscription: its receipt begins anew.
    if (isUsed) receipts.forget(m, accountKey)
    receipts.begin(m, accountKey, { account, state: 'queued', copyId: deliveredId, at: entry.createdAt })
    outbox.add([entry])
    return 'sent'
  }

  const handBatch: NotifyStore['hand'] = async (notification, targets) => {
    notificationKey(notification)
    if (notification.collapseKey !== undefined) collapsingKey(0, notification.collapseKey)
    for (const { accountKey, deliveredId, subscriptionId, outbox: entry } of targets) {
      for (const text of [accountKey, deliveredId, subscriptionId]) name(text)
      if (entry.id !== deliveredId) throw new Error(`An outbox entry of a copy has its id: ${entry.id}`)
    }
    return outbox.write((remove) => {
      const m = keep(notification)
      const kept = copies.notification(m) ?? notification
      const about = { m, notification: kept, isUsed: receipts.isUsed(m) }
      return targets.map((target) => handOne(about, target, notification.createdAt, remove))
    })
  }

  return {
    async putNotification(notification) {
      notificationKey(notification)
      return env.transaction(() => copies.notification(keep(notification)) ?? notification)
    },

    async notification(projectId, domain, id) {
      const m = copies.numberOf({ projectId, domain, id })
      return m === undefined ? undefined : copies.notification(m)
    },

    async hand(notification, targets) {
      const results: ('sent' | 'repeated' | 'gone')[] = []
      for (let from = 0; from < targets.length; from += HAND_BATCH) {
        const batch = await handBatch(notification, targets.slice(from, from + HAND_BATCH))
        results.push(...batch)
        if (batch.includes('sent')) outbox.ring()
      }
      return results
    },
  }
}

/** Stands last in its key, so it may be any text that is short enough. */
export const collapsingKey = (n: number, collapseKey: string): Buffer => {
  const text = Buffer.from(collapseKey)
  if (text.length > 1024) throw new Error('The collapse key is too long')
  return key(number(n), text)
}
