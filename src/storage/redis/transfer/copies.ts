/** Copies of subscribers, withdrawn ones included, as records, and back. */
import type { Page, Records, Writers } from '../../transfer/transfer.ts'
import { restoreCopiesScript } from '../lua/notify/restore/copies.ts'
import { partitionOf, receiptKeyOf, referenceOf } from '../notify/rows/layout.ts'
import { holding } from '../notify/rows/records.ts'
import { scanPairs } from '../scan.ts'
import { list, whole } from '../script.ts'
import { calls, type TransferDeps, ttlOf } from './calls.ts'

type Copy = Records['copy']
type Withdrawn = Records['withdrawn']
type Account = Records['account']

/** Subscriptions whose copies are read together, and copies of each. */
const PAGE_SUBSCRIPTIONS = 250
const PAGE_COPIES = 200
/** Another store does not say what a withdrawn copy was of; nothing asks. The minus at the end is its mark. */
const WITHDRAWN_ROW = '- -'

type CopiesDeps = TransferDeps & {
  byPartition<R>(
    read: (p: number, now: number) => AsyncIterable<R[]>,
  ): (from: { now: number; after?: string | undefined }) => AsyncIterable<Page<R>>
  accounts(p: number): AsyncIterable<Account[]>
}

interface SubscriptionName {
  accountKey: string
  p: number
  id: string
}
type Row = Withdrawn & { reference: string; isUnread: boolean }

async function* subscriptionsIn(deps: CopiesDeps, p: number): AsyncIterable<SubscriptionName[]> {
  for await (const some of deps.accounts(p)) {
    const subscription = some.flatMap(({ accountKey, record }) =>
      record.subscriptions.map(({ id }): SubscriptionName => ({ accountKey, p, id })),
    )
    for (let at = 0; at < subscription.length; at += PAGE_SUBSCRIPTIONS)
      yield subscription.slice(at, at + PAGE_SUBSCRIPTIONS)
  }
}

const isLastOfKey = async (
  deps: CopiesDeps,
  { p, id: subscriptionId }: SubscriptionName,
  { id, receiptKey, collapseKey }: { id: string; receiptKey: string; collapseKey: string | undefined },
): Promise<boolean> => {
  if (collapseKey === undefined) return false
  const key = deps.layout.partition(p).collapsing(subscriptionId, collapseKey)
  return (await deps.ask(() => deps.redis.client.get(key))) === `${receiptKey} ${id}`
}

/** Newest first, so that what expires or comes meanwhile makes nothing be passed over. */
const copiesOf = async (deps: CopiesDeps, subscription: SubscriptionName, from: number, now: number) => {
  const { accountKey, p, id: subscriptionId } = subscription
  const [copies, unread, rows] = deps.layout.partition(p).copies(subscriptionId)
  const flat = await deps.ask(() =>
    deps.redis.client.zrevrange(copies, from, from + PAGE_COPIES - 1, 'WITHSCORES'),
  )
  const ids = flat.filter((_, at) => at % 2 === 0)
  if (ids.length === 0) return { found: [], isOver: true }
  const [marks, texts] = await Promise.all([
    deps.ask(() => deps.redis.client.zmscore(unread, ids)),
    deps.ask(() => deps.redis.client.hmget(rows, ...ids)),
  ])
  const read = async (id: string, at: number): Promise<Copy[]> => {
    const [expires = '', reference = '', withdrawn] = texts[at]?.split(' ') ?? []
    const [sentAt, expiresAt] = [Number(flat[2 * at + 1]), Number(expires)]
    if (reference === '' || withdrawn !== undefined || expiresAt <= now) return []
    const notification = await deps.notificationOf(reference, sentAt)
    if (!notification) return []
    const { projectId, domain, id: notificationId, collapseKey } = notification
    const named = { projectId, domain, notificationId, sentAt, expiresAt }
    const isRead = marks[at] === null
    const about = { id, receiptKey: receiptKeyOf(reference, sentAt), collapseKey }
    const mark = (await isLastOfKey(deps, subscription, about)) && { isLastOfKey: true as const }
    return [{ accountKey, subscriptionId, id, ...named, isRead, ...mark }]
  }
  return { found: (await Promise.all(ids.map(read))).flat(), isOver: ids.length < PAGE_COPIES }
}

async function* copies(deps: CopiesDeps, p: number, now: number): AsyncIterable<Copy[]> {
  for await (const subscription of subscriptionsIn(deps, p)) {
    const seen = new Set<string>()
    let open = subscription
    for (let from = 0; open.length > 0; from += PAGE_COPIES) {
      const pages = await Promise.all(open.map((one) => copiesOf(deps, one, from, now)))
      yield pages.flatMap(({ found }) => found).filter(({ id }) => !seen.has(id) && seen.add(id))
      open = open.filter((_, which) => !pages[which]?.isOver)
    }
  }
}

const withdrawnOf = async (
  deps: CopiesDeps,
  { accountKey, p, id: subscriptionId }: SubscriptionName,
  now: number,
) => {
  const [copies, , rows] = deps.layout.partition(p).copies(subscriptionId)
  const found: Withdrawn[] = []
  for await (const pairs of scanPairs((cursor) =>
    deps.ask(() => deps.redis.client.hscan(rows, cursor, 'COUNT', PAGE_COPIES)),
  )) {
    const marked = pairs.filter(([, row]) => row.endsWith(' -') && Number.parseInt(row, 10) > now)
    if (marked.length === 0) continue
    const ids = marked.map(([id]) => id)
    const times = await deps.ask(() => deps.redis.client.zmscore(copies, ids))
    for (const [at, [id, row]] of marked.entries()) {
      const sentAt = times[at]
      if (sentAt === null || sentAt === undefined) continue
      found.push({
        accountKey,
        subscriptionId,
        id,
        sentAt: Number(sentAt),
        expiresAt: Number.parseInt(row, 10),
      })
    }
  }
  return found
}

async function* withdrawn(deps: CopiesDeps, p: number, now: number): AsyncIterable<Withdrawn[]> {
  for await (const subscription of subscriptionsIn(deps, p)) {
    yield (await Promise.all(subscription.map((one) => withdrawnOf(deps, one, now)))).flat()
  }
}

/** Returns those whose subscription is not there. */
const restore = async <R extends Row>(deps: CopiesDeps, rows: readonly R[]): Promise<R[]> => {
  const shares = calls(rows, ({ accountKey }) => partitionOf(accountKey))
  const left = await Promise.all(
    shares.map(async ({ p, some }) => {
      const at = deps.layout.partition(p)
      const keys = some.flatMap(({ accountKey, subscriptionId }) => [
        at.account(accountKey),
        ...at.copies(subscriptionId),
      ])
      const ttls = some.map(({ expiresAt, sentAt }) => ttlOf(deps, expiresAt, sentAt))
      const args = some.flatMap(({ subscriptionId, id, sentAt, expiresAt, reference, isUnread }, which) => [
        ...[subscriptionId, id, holding(subscriptionId), sentAt, expiresAt],
        ...[reference, isUnread ? '1' : '', ttls[which] ?? 0],
      ])
      const shared = [at.entries, at.free, at.order, at.expiring, at.ids]
      const all = [Math.max(...ttls), ...args]
      const answers = list(
        await deps.ask(() => deps.redis.script(restoreCopiesScript, [...shared, ...keys], all)),
      )
      return some.filter((_, which) => whole(answers[which]) !== 1)
    }),
  )
  return left.flat()
}

const writers = (deps: CopiesDeps): Pick<Writers, 'copy' | 'withdrawn'> => ({
  copy: {
    async write(records) {
      const rows = await Promise.all(
        records.map(async (record) => {
          const reference = referenceOf(record.projectId, record.domain, record.notificationId)
          const notification = await deps.notificationOf(reference, record.sentAt)
          return { ...record, record, reference, isUnread: !record.isRead, notification }
        }),
      )
      const known = rows.filter(({ notification }) => notification)
      const left = new Set(rows.filter(({ notification }) => !notification).map(({ record }) => record))
      for (const { record } of await restore(deps, known)) left.add(record)
      await Promise.all(
        known.map(async ({ record, reference, notification }) => {
          const { accountKey, subscriptionId, id, sentAt, expiresAt } = record
          if (!record.isLastOfKey || notification?.collapseKey === undefined || left.has(record)) return
          const key = deps.layout.of(accountKey).collapsing(subscriptionId, notification.collapseKey)
          const value = `${receiptKeyOf(reference, sentAt)} ${id}`
          await deps.ask(() => deps.redis.client.set(key, value, 'PX', ttlOf(deps, expiresAt, sentAt)))
        }),
      )
      return records.filter((record) => left.has(record))
    },
  },
  withdrawn: {
    async write(records) {
      const rows = records.map((record) => ({ ...record, record, reference: WITHDRAWN_ROW, isUnread: false }))
      return (await restore(deps, rows)).map(({ record }) => record)
    },
  },
})

export const createCopiesTransfer = (deps: CopiesDeps) => ({
  read: {
    copy: deps.byPartition((p, now) => copies(deps, p, now)),
    withdrawn: deps.byPartition((p, now) => withdrawn(deps, p, now)),
  },
  write: writers(deps),
})
