/** The history of a subscription: its head, and as many pages as it takes. */
import { read } from '../../../storage/table.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { DeliveredNotification, Notification } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import type { VerbDeps } from './deps.ts'
import { type Copy, copiesIn, copiesInHead, MAX_HEAD_COPIES, unreadOf } from './heads.ts'
import { packId, unpackId } from './ids.ts'
import { HEADS, notificationCell, PAGES, partitionOf } from './rows.ts'

type HistoryPage = Parameters<NotifyStore['history']>[1]
type History = Awaited<ReturnType<NotifyStore['history']>>

/** Newest first, ties by id descending. */
const byTime = (a: Copy, b: Copy): number => b.sentAt - a.sentAt || Buffer.compare(b.id, a.id)
const byUnread = (a: Copy, b: Copy): number => Number(a.isRead) - Number(b.isRead) || byTime(a, b)

/** Notifications by reference, few of which are asked for often. */
const notificationsOf = async (
  { kv, kept }: Pick<VerbDeps, 'kv' | 'kept'>,
  copies: readonly Copy[],
): Promise<(Notification | undefined)[]> => {
  const names = copies.map(({ reference }) => reference.toString('hex'))
  const known = new Map<string, Notification | undefined>()
  for (const name of names) known.set(name, kept.get(name))
  const missing = [...known].flatMap(([name, one]) => (one ? [] : [name]))
  if (missing.length > 0) {
    const found = await read(
      kv,
      missing.map((name) => notificationCell(Buffer.from(name, 'hex')).get()),
    )
    for (const [nth, name] of missing.entries()) {
      const one = found[nth]?.value
      known.set(name, one)
      if (one) kept.put(name, one)
    }
  }
  return names.map((name, nth) => {
    const one = known.get(name)
    return one?.createdAt === copies[nth]?.sentAt ? one : undefined
  })
}

export interface HistoryVerbs {
  history(accountKey: string, subscriptionId: string, page: HistoryPage): Promise<History>
  unreadCount(accountKey: string, subscriptionId: string): Promise<number>
}

export const createHistory = (deps: VerbDeps): HistoryVerbs => ({
  async history(accountKey, subscriptionId, { after, limit, unreadFirst, now }) {
    const partition = partitionOf(accountKey)
    const pages = PAGES.in(partition, subscriptionId)
    // The head has some of them, and what is behind tells whether there is more.
    const pagesAtOnce = Math.ceil(limit / MAX_HEAD_COPIES) + 1
    const [{ value: head }, first] = await read(deps.kv, [
      HEADS.in(partition, subscriptionId).get(),
      pages.range({ limit: pagesAtOnce, isReverse: true }),
    ])
    if (!head) {
      if (after !== null) throw new ProtocolError('unknown_notification')
      return { notifications: [], hasMore: false, hasMoreUnread: false }
    }
    const order = unreadFirst ? byUnread : byTime
    const start = after === null ? undefined : packId(after)
    const copies = copiesInHead(head)
    let some = first
    for (;;) {
      for (const { value } of some) copies.push(...copiesIn(value))
      const last = some.at(-1)
      const isWhole = some.length < pagesAtOnce
      const until = last ? last.key.readDoubleBE(0) : 0
      copies.sort(order)
      const begin = start ? copies.findIndex(({ id }) => id.equals(start)) : -1
      if (start && begin < 0 && isWhole) throw new ProtocolError('unknown_notification')
      const behind = copies.slice(begin + 1).filter((one) => !one.isWithdrawn && one.expiresAt > now)
      // What is in pages that were not read is older than this, or as old.
      const sure = isWhole ? behind : unreadFirst ? [] : behind.filter(({ sentAt }) => sentAt > until)
      if (isWhole || (begin >= 0 || !start ? sure.length > limit : false)) {
        const chosen = sure.slice(0, limit)
        const found = await notificationsOf(deps, chosen)
        const notifications = chosen.flatMap(({ id, sentAt, isRead }, nth): DeliveredNotification[] => {
          const notification = found[nth]
          return notification ? [{ id: unpackId(id, 0), sentAt, isRead, notification }] : []
        })
        const hasMore = sure.length > limit
        const hasMoreUnread = hasMore && behind.slice(limit).some(({ isRead }) => !isRead)
        return { notifications, hasMore, hasMoreUnread }
      }
      some = last
        ? (await read(deps.kv, [pages.range({ to: last.key, limit: pagesAtOnce, isReverse: true })]))[0]
        : []
    }
  },

  async unreadCount(accountKey, subscriptionId) {
    const [{ value }] = await read(deps.kv, [HEADS.in(partitionOf(accountKey), subscriptionId).get()])
    return value ? unreadOf(value) : 0
  },
})
