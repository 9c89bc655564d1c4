import type { DeliveredNotification, NotifyStore } from '../../../notify/store/store.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { name, number } from '../../bytes.ts'
import type { Env } from '../env.ts'
import { knownRequest, rememberRequest } from './accounts.ts'
import { type Copies, type Copy, copyKey, walkCopies } from './copies.ts'
import type { Outbox } from './outbox.ts'
import type { ReceiptRows } from './receipt-rows.ts'
import type { Tables } from './tables.ts'

type History = Pick<NotifyStore, 'delivered' | 'deliveredById' | 'history' | 'unreadCounts' | 'markRead'>

/** All of a copy that its place in the order follows from. */
type Position = Pick<Copy, 'at' | 'isRead'>

const isAny = (items: Iterable<unknown>): boolean => {
  for (const _ of items) return true
  return false
}

/** Newest first, ties by id descending: the order of the keys behind the read mark, backwards. */
const isNewer = (a: Copy, b: Copy): boolean => a.at.compare(b.at, 9, b.at.length, 9, a.at.length) > 0

interface HistoryDeps {
  env: Env
  tables: Tables
  copies: Copies
  receipts: ReceiptRows
  outbox: Outbox
}

const walk = (deps: HistoryDeps, n: number, unread: boolean, now: number, after?: Buffer) =>
  walkCopies(deps.tables, n, unread, now, after)

const withNotification = (
  deps: HistoryDeps,
  { id, sentAt, isRead, m }: Copy,
): DeliveredNotification | undefined => {
  const notification = deps.copies.notification(m)
  return notification && { id, sentAt, isRead, notification }
}

function* newestFirst(deps: HistoryDeps, n: number, now: number, after?: Position): Generator<Copy> {
  const read = walk(deps, n, false, now, after?.at)
  const unread = walk(deps, n, true, now, after?.at)
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

function* unreadFirst(deps: HistoryDeps, n: number, now: number, after?: Position): Generator<Copy> {
  if (!after?.isRead) yield* walk(deps, n, true, now, after?.at)
  yield* walk(deps, n, false, now, after?.isRead ? after.at : undefined)
}

const markOne = (
  deps: HistoryDeps,
  accountKey: string,
  { n, at, id, sentAt, isRead, m, expiresAt }: Copy,
  readAt: number,
) => {
  if (isRead) return false
  deps.tables.copies.remove(at)
  deps.tables.copies.put(copyKey(n, false, sentAt, name(id)), [m, expiresAt])
  deps.receipts.move(m, accountKey, id, ['delivered', 'published', 'queued'], { state: 'read', at: readAt })
  return true
}

const readVerbs = (
  deps: HistoryDeps,
): Pick<History, 'delivered' | 'deliveredById' | 'history' | 'unreadCounts'> => ({
  async delivered(subscriptionId, deliveredId) {
    const subscription = deps.copies.subscription(subscriptionId)
    const copy = subscription && deps.copies.byId(deliveredId)
    return copy && copy.n === subscription.number ? withNotification(deps, copy) : undefined
  },

  async deliveredById(deliveredId) {
    const copy = deps.copies.byId(deliveredId)
    // Copies of a subscription that ended stay until they are swept, but are not returned.
    const isHeld = copy && deps.tables.numbers.get(number(copy.n)) !== undefined
    return isHeld ? withNotification(deps, copy) : undefined
  },

  async history(subscriptionId, { after, limit, unreadFirst: byUnread, now }) {
    const subscription = deps.copies.subscription(subscriptionId)
    const start = after === null ? undefined : deps.copies.position(after)
    const isOurs = start !== undefined && start.n === subscription?.number && start.expiresAt > now
    if (after !== null && !isOurs) throw new ProtocolError('unknown_notification')
    if (!subscription) return { notifications: [], hasMore: false, hasMoreUnread: false }
    const order = byUnread ? unreadFirst : newestFirst
    const page: DeliveredNotification[] = []
    let hasMore = false
    let last: Position | undefined = start
    for (const copy of order(deps, subscription.number, now, last)) {
      if (page.length >= limit) {
        hasMore = true
        break
      }
      const item = withNotification(deps, copy)
      if (!item) continue
      page.push(item)
      last = copy
    }
    // Unread ones stand behind the last one of this page, unless that is a read one of an unread-first order.
    const behindAll = byUnread && last?.isRead
    const hasMoreUnread = hasMore && !behindAll && isAny(walk(deps, subscription.number, true, now, last?.at))
    return { notifications: page, hasMore, hasMoreUnread }
  },

  async unreadCounts(subscriptionIds) {
    return subscriptionIds.map((id) => deps.copies.subscription(id)?.unread ?? 0)
  },
})

const markVerbs = (deps: HistoryDeps): Pick<History, 'markRead'> => ({
  async markRead({ accountKey, subscriptionId, ids, at, requestId, outbox: always, outboxIfChanged }) {
    for (const { id } of [...always, ...outboxIfChanged]) name(id)
    if (requestId) name(requestId.id)
    const result = await deps.env.transaction(() => {
      const known = requestId && knownRequest(deps.tables, requestId)
      if (known) return { outcome: known }
      if (requestId) rememberRequest(deps.tables, requestId)
      const subscription = deps.copies.subscription(subscriptionId)
      let changed = 0
      if (subscription?.accountKey === accountKey) {
        const n = subscription.number
        const chosen =
          ids === 'all'
            ? [...walk(deps, n, true, Number.NEGATIVE_INFINITY)]
            : [...new Set(ids)].flatMap((id) => {
                const copy = deps.copies.byId(id)
                return copy?.n === n ? [copy] : []
              })
        for (const copy of chosen) if (markOne(deps, accountKey, copy, at)) changed++
        if (changed > 0) {
          deps.copies.writeUnread(subscriptionId, subscription, subscription.unread - changed)
        }
      }
      deps.outbox.add(always)
      if (changed > 0) deps.outbox.add(outboxIfChanged)
      return { outcome: 'committed' as const, changed }
    })
    if (result.outcome === 'committed' && always.length + outboxIfChanged.length > 0) deps.outbox.ring()
    return result
  },
})

/**
 * The copies that subscribers have. A copy's key begins with its subscription and whether it
 * is read, so unread-first is the order of the table and newest-first a merge of two ranges.
 */
export const createLmdbHistory = (
  env: Env,
  tables: Tables,
  rows: { copies: Copies; receipts: ReceiptRows },
  outbox: Outbox,
): History => {
  const deps: HistoryDeps = { env, tables, ...rows, outbox }

  return {
    ...readVerbs(deps),
    ...markVerbs(deps),
  }
}
