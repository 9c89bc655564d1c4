/** A page of a history as its answer lists it. */
import type { HistoryItem } from '../../protocol/notify-methods.ts'
import type { DeliveredNotification, Notification } from '../store/store.ts'

/**
 * JSON of the extras on one page, in characters. Texts of 50 notifications always fit into one message, their extras do
 * not: then the page is shorter, and says that there are more.
 */
const MAX_PAGE_EXTRAS_LENGTH = 65_536

const itemOf = (
  { id, sentAt, isRead, notification }: DeliveredNotification,
  answer: string | undefined,
): HistoryItem => ({
  id,
  sent_at: sentAt,
  type: notification.type,
  title: notification.title,
  body: notification.body,
  icon: notification.icon,
  url: notification.url,
  is_read: isRead,
  ...notification.extras,
  ...(answer !== undefined && { answer }),
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

/** Whether an account can answer it. */
export const asksForAnswer = ({ extras }: Pick<Notification, 'extras'>): boolean =>
  extras?.actions?.some((action) => 'answer' in action) ?? false

/** `answers`: by id of the copy, the action that the account answered with. */
export const historyPage = (
  page: { notifications: readonly DeliveredNotification[]; hasMore: boolean; hasMoreUnread: boolean },
  answers: ReadonlyMap<string, string>,
): { nfs: HistoryItem[]; mre: boolean; mur: boolean } => {
  const { notifications, hasMore, hasMoreUnread } = page
  const count = fittingCount(notifications)
  const later = notifications.slice(count)
  return {
    nfs: notifications.slice(0, count).map((copy) => itemOf(copy, answers.get(copy.id))),
    mre: hasMore || later.length > 0,
    mur: hasMoreUnread || later.some(({ isRead }) => !isRead),
  }
}
