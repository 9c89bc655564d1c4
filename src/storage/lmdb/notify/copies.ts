import type { Notification } from '../../../notify/store/store.ts'
import { endOf, key, name, named, nameOrNone, number } from '../../bytes.ts'
import { PRESENT } from '../bytes.ts'
import { expiryKey, type SubscriptionRow, type Tables } from './tables.ts'

export const READ = Buffer.from([0])
export const UNREAD = Buffer.from([1])

export const copyKey = (n: number, unread: boolean, sentAt: number, id: Buffer): Buffer =>
  key(number(n), unread ? UNREAD : READ, number(sentAt), id)

/** One copy as its rows say, without its notification. */
export interface Copy {
  /** The subscription's number. */
  n: number
  at: Buffer
  id: string
  sentAt: number
  isRead: boolean
  /** The notification's number. */
  m: number
  expiresAt: number
}

export const copyOf = (at: Buffer, [m, expiresAt]: [number, number]): Copy => ({
  n: at.readDoubleBE(0),
  at,
  id: at.toString('utf8', 17),
  sentAt: at.readDoubleBE(9),
  isRead: at[8] === READ[0],
  m,
  expiresAt,
})

/** The rows about copies and their notifications; what writes is for use within a transaction. */
export interface Copies {
  subscription(id: string): SubscriptionRow | undefined
  writeUnread(id: string, subscription: SubscriptionRow, unread: number): void
  byId(deliveredId: string): Copy | undefined
  /** Where a copy is, or was before it was withdrawn: all of it that places need. */
  position(deliveredId: string): Omit<Copy, 'm'> | undefined
  /** Puts a copy that is not there, with all that belongs to it; counts it on top of the stated subscription. */
  put(subscriptionId: string, subscription: SubscriptionRow, copy: Omit<Copy, 'at' | 'n'>): void
  /** Takes a copy out of history and count; its id stays until it would have expired. */
  withdraw(copy: Copy): void
  /** The number of a notification that is kept. */
  numberOf(of: Pick<Notification, 'projectId' | 'domain' | 'id'>): number | undefined
  notification(m: number): Notification | undefined
}

// The caller chooses the id, so it stands last: no separator is needed behind it.
export const notificationKey = ({
  projectId,
  domain,
  id,
}: Pick<Notification, 'projectId' | 'domain' | 'id'>): Buffer =>
  named(projectId, named(domain, Buffer.from(id)))

export const createCopies = (tables: Tables): Copies => {
  const { copies, copyIds } = tables

  const subscription: Copies['subscription'] = (id) => {
    const row = tables.subscriptions.get(name(id))
    return row && { number: row[0], accountKey: row[1], unread: row[2] }
  }
  const writeUnread: Copies['writeUnread'] = (id, { number: n, accountKey }, unread) =>
    void tables.subscriptions.put(name(id), [n, accountKey, Math.max(0, unread)])

  const byId: Copies['byId'] = (deliveredId) => {
    const id = nameOrNone(deliveredId)
    const row = id && copyIds.get(id)
    if (!row || row[2] !== undefined) return undefined
    for (const unread of [true, false]) {
      const at = copyKey(row[0], unread, row[1], id)
      const value = copies.get(at)
      if (value) return copyOf(at, value)
    }
    return undefined
  }

  return {
    subscription,
    writeUnread,
    byId,

    position(deliveredId) {
      const id = nameOrNone(deliveredId)
      const row = id && copyIds.get(id)
      if (!id || row?.[2] === undefined) return byId(deliveredId)
      const [n, sentAt, expiresAt] = row
      return { n, at: copyKey(n, true, sentAt, id), id: deliveredId, sentAt, isRead: false, expiresAt }
    },

    put(subscriptionId, holder, { id: text, sentAt, isRead, m, expiresAt }) {
      const id = name(text)
      copies.put(copyKey(holder.number, !isRead, sentAt, id), [m, expiresAt])
      copyIds.put(id, [holder.number, sentAt])
      tables.expiry.put(expiryKey(expiresAt, 'copy', id), PRESENT)
      writeUnread(subscriptionId, holder, holder.unread + (isRead ? 0 : 1))
    },

    withdraw({ n, at, id, sentAt, isRead, expiresAt }) {
      copies.remove(at)
      copyIds.put(name(id), [n, sentAt, expiresAt])
      if (isRead) return
      const subscriptionId = tables.numbers.get(number(n))
      const holder = subscriptionId === undefined ? undefined : subscription(subscriptionId)
      if (subscriptionId !== undefined && holder) writeUnread(subscriptionId, holder, holder.unread - 1)
    },

    numberOf: (of) => tables.notificationIds.get(notificationKey(of)),

    notification(m) {
      const row = tables.notifications.get(number(m))
      return row && { ...row, deliverBy: row.deliverBy ?? row.expiresAt }
    },
  }
}

/** Live copies of one kind, newest first, behind `after`. */
export function* walkCopies(
  { copies }: Tables,
  n: number,
  unread: boolean,
  now: number,
  after?: Buffer,
): Generator<Copy, undefined> {
  const prefix = key(number(n), unread ? UNREAD : READ)
  // The same place in the order, whether the copy that was named is read or not.
  const start = after ? key(prefix, after.subarray(9)) : endOf(prefix)
  for (const { key: at, value } of copies.getRange({ start, end: prefix, reverse: true })) {
    if (value[1] > now && !(after && at.equals(start))) yield copyOf(at, value)
  }
  return undefined
}
