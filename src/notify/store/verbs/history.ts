/** The history of a subscription: its head, and as many pages as it takes. */
import { ProtocolError } from '../../../protocol/errors.ts'
import { nameOrNone } from '../../../storage/bytes.ts'
import { read } from '../../../storage/table.ts'
import {
  type Copy,
  copiesIn,
  copiesInHead,
  copyAt,
  findInHead,
  findInPage,
  isHeldBy,
  MAX_HEAD_COPIES,
  pagesUntil,
  unreadOf,
} from '../packed/heads.ts'
import { packIdOrNone, unpackId } from '../packed/ids.ts'
import type { DeliveredNotification } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import type { VerbDeps } from './deps.ts'
import { notificationsOf } from './notifications.ts'
import { MAX_PAGES } from './open-rows.ts'
import { copyOwner, HEADS, PAGES, partitionOf } from './tables.ts'

type HistoryPage = Parameters<NotifyStore['history']>[2]
type History = Awaited<ReturnType<NotifyStore['history']>>

/** Newest first, ties by id descending. */
const byTime = (a: Copy, b: Copy): number => b.sentAt - a.sentAt || compareIds(b.id, a.id)
const compareIds = (a: Buffer, b: Buffer): number =>
  a[0] === b[0] ? a.compare(b) : unpackId(a, 0) < unpackId(b, 0) ? -1 : 1
const byUnread = (a: Copy, b: Copy): number => Number(a.isRead) - Number(b.isRead) || byTime(a, b)

const shown = async (deps: VerbDeps, copies: readonly Copy[]): Promise<DeliveredNotification[]> => {
  const found = await notificationsOf(deps, copies)
  return copies.flatMap((copy, nth): DeliveredNotification[] => {
    const notification = found[nth]
    if (!notification) return []
    const { sentAt, isRead } = copy
    return [{ id: unpackId(copy.id, 0), sentAt, isRead, notification }]
  })
}

/** What was read of a history: all copies that are not older than `until`, and more; all where it is whole. */
interface ReadCopies {
  copies: Copy[]
  isWhole: boolean
  until: number
}

/** The page of it; undefined where more must be read. */
const pageOf = (
  { copies, isWhole, until }: ReadCopies,
  { after, limit, unreadFirst, now }: HistoryPage,
): { chosen: Copy[]; hasMore: boolean; hasMoreUnread: boolean } | undefined => {
  copies.sort(unreadFirst ? byUnread : byTime)
  const start = after === null ? undefined : packIdOrNone(after)
  const begin = start ? copies.findIndex(({ id, expiresAt }) => expiresAt > now && id.equals(start)) : -1
  if (begin < 0 && after !== null) {
    if (isWhole) throw new ProtocolError('unknown_notification')
    return undefined
  }
  const behind = copies.slice(begin + 1).filter((one) => !one.isWithdrawn && one.expiresAt > now)
  // What is in pages that were not read is older than this, or as old.
  const sure = isWhole ? behind : unreadFirst ? [] : behind.filter(({ sentAt }) => sentAt > until)
  if (!isWhole && sure.length <= limit) return undefined
  const hasMore = sure.length > limit
  const chosen = sure.slice(0, limit)
  const rest = behind.slice(limit)
  if (hasMore && !isWhole && !rest.some(({ isRead }) => !isRead)) return undefined
  return { chosen, hasMore, hasMoreUnread: hasMore && rest.some(({ isRead }) => !isRead) }
}

type HistoryVerbs = Pick<NotifyStore, 'history' | 'unreadCounts' | 'delivered' | 'deliveredById'>

const readHistory = async (
  deps: VerbDeps,
  { accountKey, subscriptionId }: { accountKey: string; subscriptionId: string },
  page: HistoryPage,
): Promise<History> => {
  const partition = partitionOf(accountKey)
  const pages = PAGES.in(partition, subscriptionId)
  // The head has some of them, and what is behind tells whether there is more.
  const pagesAtOnce = Math.ceil(page.limit / MAX_HEAD_COPIES) + 1
  const [{ value: head }, first] = await read(deps.kv, [
    HEADS.in(partition, subscriptionId).get(),
    pages.range({ limit: pagesAtOnce, isReverse: true }),
  ])
  if (!head || !isHeldBy(head, accountKey)) {
    if (page.after !== null) throw new ProtocolError('unknown_notification')
    return { notifications: [], hasMore: false, hasMoreUnread: false }
  }
  const copies = copiesInHead(head)
  let some = first
  for (;;) {
    for (const { value } of some) copies.push(...copiesIn(value))
    const to = some.at(-1)?.key
    const isWhole = some.length < pagesAtOnce || !to
    const found = pageOf({ copies, isWhole, until: to?.readDoubleBE(0) ?? 0 }, page)
    if (found) {
      const { chosen, hasMore, hasMoreUnread } = found
      return { notifications: await shown(deps, chosen), hasMore, hasMoreUnread }
    }
    some = to ? (await read(deps.kv, [pages.range({ to, limit: pagesAtOnce, isReverse: true })]))[0] : []
  }
}

/** A copy that is not withdrawn. */
const findCopy = async (
  { kv }: Pick<VerbDeps, 'kv'>,
  accountKey: string,
  subscriptionId: string,
  deliveredId: string,
): Promise<Copy | undefined> => {
  const id = packIdOrNone(deliveredId)
  if (!id) return undefined
  const partition = partitionOf(accountKey)
  const [{ value: head }] = await read(kv, [HEADS.in(partition, subscriptionId).get()])
  if (!head || !isHeldBy(head, accountKey)) return undefined
  const at = findInHead(head, id)
  let copy = at < 0 ? undefined : copyAt(head, at)
  if (!copy && pagesUntil(head) > 0) {
    const [pages] = await read(kv, [PAGES.in(partition, subscriptionId).range({ limit: MAX_PAGES })])
    for (const { value } of pages) {
      const there = findInPage(value, id)
      if (there >= 0) copy = copyAt(value, there)
    }
  }
  return copy?.isWithdrawn ? undefined : copy
}

export const createHistory = (deps: VerbDeps): HistoryVerbs => {
  const delivered: NotifyStore['delivered'] = async (accountKey, subscriptionId, deliveredId) => {
    const copy = await findCopy(deps, accountKey, subscriptionId, deliveredId)
    return copy && (await shown(deps, [copy]))[0]
  }
  return {
    delivered,

    async deliveredById(deliveredId) {
      if (!nameOrNone(deliveredId)) return undefined
      const [{ value: owner }] = await read(deps.kv, [copyOwner(deliveredId).get()])
      return owner && delivered(...owner, deliveredId)
    },

    history: (accountKey, subscriptionId, page) => readHistory(deps, { accountKey, subscriptionId }, page),

    async unreadCounts(of) {
      const heads = await read(
        deps.kv,
        of.map(({ accountKey, subscriptionId }) => HEADS.in(partitionOf(accountKey), subscriptionId).get()),
      )
      return heads.map(({ value }) => (value ? unreadOf(value) : 0))
    },
  }
}
