import type { DeliveredNotification, NotifyStore } from '../../../notify/store/store.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { createCallBatcher } from '../call-batcher.ts'
import { copyScript } from '../lua/notify/history/copy.ts'
import { markScript } from '../lua/notify/history/mark.ts'
import { pageScript } from '../lua/notify/history/page.ts'
import { unreadScript } from '../lua/notify/history/unread.ts'
import { list, text, whole } from '../script.ts'
import { type NotifyDeps, split } from './deps.ts'
import type { Notifications } from './notifications.ts'
import type { Outbox } from './outbox.ts'
import type { Requests } from './requests.ts'
import { ALL, partitionOf, receiptKeyOf } from './rows/layout.ts'
import { writeName, writeTime } from './rows/receipt-rows.ts'
import { holding } from './rows/records.ts'

type History = Pick<NotifyStore, 'delivered' | 'deliveredById' | 'history' | 'unreadCounts' | 'markRead'>

/** Copies that one call looks up. */
const MAX_LOOKUP_COPIES = 200
/** Where a copy is. */
interface Whose {
  p: number
  subscriptionId: string
  id: string
}

interface Copy {
  id: string
  sentAt: number
  isRead: boolean
  reference: string
}

const copyOf = (id: unknown, sentAt: unknown, isRead: unknown, row: unknown): Copy => ({
  id: text(id),
  sentAt: whole(sentAt),
  isRead: whole(isRead) === 1,
  reference: split(text(row))[1],
})

interface HistoryDeps extends NotifyDeps {
  notifications: Notifications
  requests: Requests
  outbox: Outbox
  copyRow: (whose: Whose) => Promise<unknown>
}

const withNotification = async (
  deps: HistoryDeps,
  copy: Copy,
): Promise<DeliveredNotification | undefined> => {
  const { id, sentAt, isRead, reference } = copy
  const notification = await deps.notifications.sent(reference, sentAt)
  return notification && { id, sentAt, isRead, notification }
}

const copyIn = async (deps: HistoryDeps, p: number, subscriptionId: string, id: string) => {
  const answer = await deps.copyRow({ p, subscriptionId, id })
  if (answer === null) return undefined
  const [sentAt, isRead, row] = list(answer)
  return withNotification(deps, copyOf(id, sentAt, isRead, row))
}

const readVerbs = (
  deps: HistoryDeps,
): Pick<History, 'delivered' | 'deliveredById' | 'history' | 'unreadCounts'> => ({
  async delivered(subscriptionId, deliveredId) {
    const p = await deps.partitions.find(subscriptionId)
    return p === undefined ? undefined : copyIn(deps, p, subscriptionId, deliveredId)
  },

  async deliveredById(deliveredId) {
    // A link that somebody clicked: rare enough to ask all partitions, which spares a key for every copy.
    const owners = await Promise.all(
      ALL.map((p) => deps.ask(() => deps.redis.client.hget(deps.layout.partition(p).ids, deliveredId))),
    )
    const p = owners.findIndex((owner) => owner !== null)
    const subscriptionId = owners[p]
    return subscriptionId ? copyIn(deps, p, subscriptionId, deliveredId) : undefined
  },

  async history(subscriptionId, { after, limit, unreadFirst, now }) {
    const p = await deps.partitions.find(subscriptionId)
    if (after === '' || (p === undefined && after !== null)) throw new ProtocolError('unknown_notification')
    const page: DeliveredNotification[] = []
    let hasMore = p !== undefined
    let hasMoreUnread = false
    for (let from = after ?? ''; p !== undefined && hasMore && page.length < limit; ) {
      const keys = deps.layout.partition(p).copies(subscriptionId)
      const args = [now, limit - page.length, from, unreadFirst ? '1' : '']
      const answer = await deps.ask(() => deps.redis.script(pageScript, keys, args))
      if (answer === 'unknown') {
        if (from === after) throw new ProtocolError('unknown_notification')
        break
      }
      const [more, moreUnread, ...rest] = list(answer)
      hasMore = whole(more) === 1
      hasMoreUnread = whole(moreUnread) === 1
      const copies: Copy[] = []
      for (let at = 0; at < rest.length; at += 4) {
        copies.push(copyOf(rest[at], rest[at + 1], rest[at + 2], rest[at + 3]))
      }
      // A notification that was swept between the two looks leaves a gap; the next round fills it.
      for (const item of await Promise.all(copies.map((copy) => withNotification(deps, copy))))
        if (item) page.push(item)
      from = copies.at(-1)?.id ?? from
    }
    return { notifications: page, hasMore, hasMoreUnread }
  },

  async unreadCounts(subscriptionIds) {
    return Promise.all(
      subscriptionIds.map(async (id) => {
        const p = await deps.partitions.find(id)
        return p === undefined
          ? 0
          : deps.ask(() => deps.redis.client.zcard(deps.layout.partition(p).copies(id)[1]))
      }),
    )
  },
})

const markVerbs = (deps: HistoryDeps): Pick<History, 'markRead'> => ({
  async markRead({ accountKey, subscriptionId, ids, at, requestId, outbox: always, outboxIfChanged }) {
    const p = partitionOf(accountKey)
    const own = deps.layout.partition(p)
    const [, unread, rows] = own.copies(subscriptionId)
    // Where their receipts are; what arrives after this look is not meant.
    const asked = ids === 'all' ? [] : [...new Set(ids)]
    const copies: { id: string; key: number }[] = []
    const keys: string[] = []
    const keyOf = new Map<string, number>()
    const isNone = ids !== 'all' && asked.length === 0
    const found = isNone
      ? []
      : list(await deps.ask(() => deps.redis.script(unreadScript, [unread, rows], asked)))
    for (let n = 0; n < found.length; n += 3) {
      const receiptKey = receiptKeyOf(split(text(found[n + 2]))[1], whole(found[n + 1]))
      const key = keyOf.get(receiptKey) ?? 8 + keys.length
      if (!keyOf.has(receiptKey)) keys.push(...own.receipts(receiptKey))
      keyOf.set(receiptKey, key)
      copies.push({ id: text(found[n]), key })
    }
    const entries = [...always, ...outboxIfChanged]
    const mark = () =>
      deps.redis.script(
        markScript,
        [
          ...[own.entries, own.free, own.order, own.account(accountKey), unread],
          ...deps.requests.keys(own, requestId),
          ...keys,
        ],
        [
          holding(subscriptionId),
          ...deps.requests.args(requestId),
          deps.outbox.ttlOf(entries),
          copies.length,
          always.length,
          writeName(accountKey),
          writeTime(at),
          ...copies.flatMap(({ id, key }) => [id, key]),
          ...deps.outbox.args(entries),
        ],
      )
    const [answer] = await Promise.all([deps.ask(mark), deps.requests.point(p, requestId)])
    const changed = whole(answer)
    if (changed < 0) return { outcome: changed === -1 ? 'repeated' : 'used' }
    if (always.length + (changed > 0 ? outboxIfChanged.length : 0) > 0) deps.outbox.ring()
    return { outcome: 'committed', changed }
  },
})

/**
 * The copies that subscribers have. A copy lies in the partition of its account; it holds the reference of its notification and the time at which that was
 * sent, so that one which came later under the same id is not taken for it.
 */
export const createRedisHistory = (
  shared: NotifyDeps,
  notifications: Notifications,
  requests: Requests,
  outbox: Outbox,
): History => {
  const { redis, ask, layout } = shared
  /** Delivery looks up those of a batch at once. */
  const copyRow = createCallBatcher(
    { groupOf: ({ p }: Whose) => (redis.spansSlots ? 0 : p), most: MAX_LOOKUP_COPIES },
    async (whose) => {
      const keys = whose.flatMap(({ p, subscriptionId }) => layout.partition(p).copies(subscriptionId))
      const ids = whose.map(({ id }) => id)
      return list(await ask(() => redis.script(copyScript, keys, ids)))
    },
  )
  const deps: HistoryDeps = { ...shared, notifications, requests, outbox, copyRow }

  return {
    ...readVerbs(deps),
    ...markVerbs(deps),
  }
}
