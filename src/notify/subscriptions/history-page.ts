/** A page of a history as its answer lists it. */
import type { HistoryItem } from '../../protocol/notify-methods.ts'
import type { DeliveredNotification } from '../store/store.ts'

/**
 * JSON of the extras on one page, in characters. Texts of 50 notifications always fit into one message, their extras do
 * not: then the page is shorter, and says that there are more.
 */
const MAX_PAGE_EXTRAS_LENGTH = 65_536

const itemOf = ({ id, sentAt, isRead, notification }: DeliveredNotification): HistoryItem => ({
  id,
  sent_at: sentAt,
  type: notification.type,
  title: notification.title,
  body: notification.body,
  icon: notification.icon,
  url: notification.url,
  is_read: isRead,
  ...notification.extras,
})

/** How many of them fit. One notification always does. */
const fittingCount = (copies: readonly DeliveredNotification[]): number => {
  let length = 0
  for (const [at, { notification }] of copies.entries()) {
    if (!notification.extras) continue
    length += JSON.stringify(notification.extras).length
    if (length > MAX_PAGE_EXTRAS_LENGTH && at > 0) return at
  }
  return copies.length
}

export const historyPage = (page: {
  notifications: readonly DeliveredNotification[]
  hasMore: boolean
  hasMoreUnread: boolean
}): { nfs: HistoryItem[]; mre: boolean; mur: boolean } => {
  const { notifications, hasMore, hasMoreUnread } = page
  const count = fittingCount(notifications)
  const later = notifications.slice(count)
  return {
    nfs: notifications.slice(0, count).map(itemOf),
    mre: hasMore || later.length > 0,
    mur: hasMoreUnread || later.some(({ isRead }) => !isRead),
  }
}
