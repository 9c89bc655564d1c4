import { key, name, named, nameOrNone, number, PRESENT } from './bytes.ts'
import { expiryKey, type SubscriptionRow, type Tables } from './notify-tables.ts'

export const READ = Buffer.from([0])
export const UNREAD = Buffer.from([1])

export const copyKey = (n: number, unread: boolean, sentAt: number, id: Buffer): Buffer =>
  key(number(n), unread ? UNREAD : READ, number(sentAt), id)

// The caller chooses the id, so it stands last: no separator is needed behind it.
export const notificationKey = (projectId: string, domain: string, id: string): Buffer =>
  named(projectId, named(domain, Buffer.from(id)))

/** One copy as its row says, without its notification. */
export interface Copy {
  at: Buffer
  id: string
  sentAt: number
  isRead: boolean
  m: number
  expiresAt: number
}

export const copyOf = (at: Buffer, [m, expiresAt]: [number, number]): Copy => ({
  at,
  id: at.toString('utf8', 17),
  sentAt: at.readDoubleBE(9),
  isRead: at[8] === READ[0],
  m,
  expiresAt,
})

export type Copies = ReturnType<typeof createCopies>

/** Rows of copies: how they are found and placed. What is placed is placed within a transaction. */
export const createCopies = (tables: Tables) => {
  const { copies, copyIds } = tables

  const subscriptionOf = (id: string): SubscriptionRow | undefined => {
    const row = tables.subscriptions.get(name(id))
    return row && { number: row[0], accountKey: row[1], unread: row[2] }
  }
  const writeSubscription = (id: string, { number: n, accountKey, unread }: SubscriptionRow) =>
    tables.subscriptions.put(name(id), [n, accountKey, unread])

  const copyById = (deliveredId: string): { n: number; copy: Copy } | undefined => {
    const id = nameOrNone(deliveredId)
    const row = id && copyIds.get(id)
    if (!row) return undefined
    const [n, sentAt] = row
    for (const unread of [true, false]) {
      const at = copyKey(n, unread, sentAt, id)
      const value = copies.get(at)
      if (value) return { n, copy: copyOf(at, value) }
    }
    return undefined
  }

  /** Puts a copy that is not there, with all that belongs to it; counts it on top of the stated subscription. */
  const place = (
    subscriptionId: string,
    subscription: SubscriptionRow,
    { id: text, sentAt, isRead, m, expiresAt }: Omit<Copy, 'at'>,
  ): void => {
    const id = name(text)
    copies.put(copyKey(subscription.number, !isRead, sentAt, id), [m, expiresAt])
    copyIds.put(id, [subscription.number, sentAt])
    tables.expiry.put(expiryKey(expiresAt, 'copy', id), PRESENT)
    writeSubscription(subscriptionId, { ...subscription, unread: subscription.unread + (isRead ? 0 : 1) })
  }

  return { subscriptionOf, writeSubscription, copyById, place }
}
