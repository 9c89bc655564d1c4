import type { DeliveredNotification, Notification, NotifyStore } from '../../notify/store.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { endOf, key, name, number, PRESENT } from './bytes.ts'
import type { Env } from './env.ts'
import { rememberRequest } from './notify-accounts.ts'
import { type Copies, type Copy, copyKey, copyOf, notificationKey, READ, UNREAD } from './notify-copies.ts'
import type { Outbox } from './notify-outbox.ts'
import { expiryKey, nextNumber, type Tables } from './notify-tables.ts'

type History = Pick<
  NotifyStore,
  | 'putNotification'
  | 'notification'
  | 'hand'
  | 'delivered'
  | 'deliveredById'
  | 'history'
  | 'unreadCounts'
  | 'markRead'
>

/** Targets of one transaction: a hand-over to thousands must not hold up everybody else. */
const HAND_BATCH = 500
const isAny = (items: Iterable<unknown>): boolean => {
  for (const _ of items) return true
  return false
}

/** Newest first, ties by id descending: the order of the keys behind the read mark, backwards. */
const isNewer = (a: Copy, b: Copy): boolean => a.at.compare(b.at, 9, b.at.length, 9, a.at.length) > 0

/**
 * Notifications and the copies of them that subscribers have. A copy's key begins with its subscription and whether it
 * is read, so unread-first is the order of the table and newest-first a merge of two ranges.
 */
export const createLmdbHistory = (env: Env, tables: Tables, outbox: Outbox, places: Copies): History => {
  const { copies, notifications, notificationIds } = tables
  const { subscriptionOf, writeSubscription, copyById, place } = places

  /** The number under which the notification is kept; keeps it if it is not there. Within a transaction. */
  const keep = (notification: Notification): number => {
    const at = notificationKey(notification.projectId, notification.domain, notification.id)
    const known = notificationIds.get(at)
    const kept = known === undefined ? undefined : notifications.get(number(known))
    if (known !== undefined && kept && kept.expiresAt > notification.createdAt) return known
    const m = nextNumber(tables, 'notification')
    notificationIds.put(at, m)
    notifications.put(number(m), notification)
    tables.expiry.put(expiryKey(notification.expiresAt, 'notification', number(m)), PRESENT)
    return m
  }

  const withNotification = ({ id, sentAt, isRead, m }: Copy): DeliveredNotification | undefined => {
    const notification = notifications.get(number(m))
    return notification && { id, sentAt, isRead, notification }
  }

  /** Live copies of one kind, newest first, behind `after`. */
  function* walk(n: number, unread: boolean, now: number, after?: Buffer): Generator<Copy, undefined> {
    const prefix = key(number(n), unread ? UNREAD : READ)
    // The same place in the order, whether the copy that was named is read or not.
    const start = after ? key(prefix, after.subarray(9)) : endOf(prefix)
    for (const { key: at, value } of copies.getRange({ start, end: prefix, reverse: true })) {
      if (value[1] > now && !(after && at.equals(start))) yield copyOf(at, value)
    }
    return undefined
  }

  function* newestFirst(n: number, now: number, after?: Copy): Generator<Copy> {
    const read = walk(n, false, now, after?.at)
    const unread = walk(n, true, now, after?.at)
    try {
      let a = read.next().value
      let b = unread.next().value
      while (a || b) {
        if (a && (!b || isNewer(a, b))) {
          yield a
          a = read.next().value
        } else if (b) {
          yield b
          b = unread.next().value
        }
      }
    } finally {
      // A range that is left in the middle would keep its read transaction open.
      read.return(undefined)
      unread.return(undefined)
    }
  }

  function* unreadFirst(n: number, now: number, after?: Copy): Generator<Copy> {
    if (!after?.isRead) yield* walk(n, true, now, after?.at)
    yield* walk(n, false, now, after?.isRead ? after.at : undefined)
  }

  const markOne = (n: number, { at, id, sentAt, isRead, m, expiresAt }: Copy): boolean => {
    if (isRead) return false
    copies.remove(at)
    copies.put(copyKey(n, false, sentAt, name(id)), [m, expiresAt])
    return true
  }

  const handBatch: NotifyStore['hand'] = async (notification, targets) => {
    for (const { deliveredId, subscriptionId, outbox: entry } of targets) {
      for (const text of [deliveredId, subscriptionId, entry.id]) name(text)
    }
    const now = notification.createdAt
    return env.transaction(() => {
      const m = keep(notification)
      const { createdAt: sentAt, expiresAt } = notifications.get(number(m)) ?? notification
      return targets.map(({ accountKey, subscriptionId, deliveredId, outbox: entry }) => {
        const subscription = subscriptionOf(subscriptionId)
        if (subscription?.accountKey !== accountKey) return 'gone'
        const earlier = copyById(deliveredId)
        if (earlier && earlier.copy.expiresAt > now) return 'repeated'
        let { unread } = subscription
        if (earlier?.n === subscription.number) {
          copies.remove(earlier.copy.at)
          tables.expiry.remove(expiryKey(earlier.copy.expiresAt, 'copy', name(deliveredId)))
          if (!earlier.copy.isRead) unread -= 1
        }
        const copy = { id: deliveredId, sentAt, isRead: false, m, expiresAt }
        place(subscriptionId, { ...subscription, unread }, copy)
        outbox.add([entry])
        return 'sent'
      })
    })
  }

  return {
    async putNotification(notification) {
      notificationKey(notification.projectId, notification.domain, notification.id)
      return env.transaction(() => notifications.get(number(keep(notification))) ?? notification)
    },

    async notification(projectId, domain, id) {
      const m = notificationIds.get(notificationKey(projectId, domain, id))
      return m === undefined ? undefined : notifications.get(number(m))
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

    async delivered(subscriptionId, deliveredId) {
      const subscription = subscriptionOf(subscriptionId)
      const found = subscription && copyById(deliveredId)
      return found && found.n === subscription.number ? withNotification(found.copy) : undefined
    },

    async deliveredById(deliveredId) {
      const found = copyById(deliveredId)
      // Copies of a subscription that ended stay until they are swept, but nobody may see them.
      const isHeld = found && tables.numbers.get(number(found.n)) !== undefined
      return isHeld ? withNotification(found.copy) : undefined
    },

    async history(subscriptionId, { after, limit, unreadFirst: byUnread, now }) {
      const subscription = subscriptionOf(subscriptionId)
      const start = after === null ? undefined : copyById(after)
      const isOurs = start !== undefined && start.n === subscription?.number && start.copy.expiresAt > now
      if (after !== null && !isOurs) throw new ProtocolError('unknown_notification')
      if (!subscription) return { notifications: [], hasMore: false, hasMoreUnread: false }
      const order = byUnread ? unreadFirst : newestFirst
      const page: DeliveredNotification[] = []
      let hasMore = false
      let last = start?.copy
      for (const copy of order(subscription.number, now, last)) {
        if (page.length >= limit) {
          hasMore = true
          break
        }
        const item = withNotification(copy)
        if (!item) continue
        page.push(item)
        last = copy
      }
      // Unread ones stand behind the last one of this page, unless that is a read one of an unread-first order.
      const behindAll = byUnread && last?.isRead
      const hasMoreUnread = hasMore && !behindAll && isAny(walk(subscription.number, true, now, last?.at))
      return { notifications: page, hasMore, hasMoreUnread }
    },

    async unreadCounts(subscriptionIds) {
      return subscriptionIds.map((id) => subscriptionOf(id)?.unread ?? 0)
    },

    async markRead({ accountKey, subscriptionId, ids, requestId, outbox: always, outboxIfChanged }) {
      for (const { id } of [...always, ...outboxIfChanged]) name(id)
      if (requestId) name(requestId.id)
      const result = await env.transaction(() => {
        if (requestId && !rememberRequest(tables, requestId)) return { outcome: 'repeated' as const }
        const subscription = subscriptionOf(subscriptionId)
        let changed = 0
        if (subscription?.accountKey === accountKey) {
          const n = subscription.number
          const chosen =
            ids === 'all'
              ? [...walk(n, true, Number.NEGATIVE_INFINITY)]
              : [...new Set(ids)].flatMap((id) => {
                  const found = copyById(id)
                  return found?.n === n ? [found.copy] : []
                })
          for (const copy of chosen) if (markOne(n, copy)) changed++
          if (changed > 0) {
            writeSubscription(subscriptionId, { ...subscription, unread: subscription.unread - changed })
          }
        }
        outbox.add(always)
        if (changed > 0) outbox.add(outboxIfChanged)
        return { outcome: 'committed' as const, changed }
      })
      if (result.outcome === 'committed' && always.length + outboxIfChanged.length > 0) outbox.ring()
      return result
    },
  }
}
