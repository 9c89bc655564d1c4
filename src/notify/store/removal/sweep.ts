/** Removes what has expired. Nothing of it is seen any more when it is swept, but that unread copies count until then. */
import { behind } from '../../../storage/bytes.ts'
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import { ask, read, runOne } from '../../../storage/table.ts'
import {
  countInHead,
  countInPage,
  pagesUntil,
  setPages,
  setSweptAt,
  sweptAt,
  sweptHead,
  sweptPage,
  unreadInPages,
} from '../packed/heads.ts'
import type { NotifyStore } from '../store.ts'
import { placeBytes, type VerbDeps } from '../verbs/deps.ts'
import { historyDueKey } from '../verbs/enqueue.ts'
import { notificationDueIn, sentWrites } from '../verbs/notifications.ts'
import { MAX_PAGES } from '../verbs/open-rows.ts'
import {
  HEADS,
  HISTORIES_DUE,
  notificationCell,
  notificationsDue,
  PAGES,
  PARTITIONS,
} from '../verbs/tables.ts'

/** Histories of one step: a sweep must not hold up what wallets ask for. */
const SWEEP_PAGE = 100
const AT_BYTES = 8

interface DueHistory {
  partition: string
  subscriptionId: string
  at: number
}

interface Swept {
  head: Buffer
  writes: Write[]
  removed: number
  /** When the next copy of the pages expires. */
  soonest: number
}

/** The pages without what has expired, and the head that counts them. */
const sweptPages = (
  { partition, subscriptionId }: DueHistory,
  head: Buffer,
  rows: readonly { key: Buffer; value: Buffer }[],
  now: number,
  limit: number,
): Swept => {
  const pages = PAGES.in(partition, subscriptionId)
  const writes: Write[] = []
  let removed = 0
  let [unread, soonest, isLeft] = [unreadInPages(head), Number.POSITIVE_INFINITY, false]
  for (const { key, value } of rows) {
    const { rest, removed: some } = sweptPage(value, now, limit - removed)
    const counted = countInPage(rest)
    if (counted.copies > 0) isLeft = true
    soonest = Math.min(soonest, counted.soonest)
    if (some === 0) continue
    removed += some
    unread -= countInPage(value).unread - counted.unread
    writes.push(counted.copies === 0 ? pages.remove(key) : pages.put({ key, value: rest }))
  }
  const next = Buffer.from(head)
  setPages(next, { until: isLeft ? pagesUntil(head) : 0, unread })
  return { head: next, writes, removed, soonest }
}

/** Removes at most `limit` copies of a history; answers how many. */
const sweepHistory = (due: DueHistory, now: number, limit: number) =>
  function* (): Verb<number> {
    const { partition, subscriptionId, at } = due
    const cell = HEADS.in(partition, subscriptionId)
    const list = HISTORIES_DUE.in(partition)
    const [{ value: head }] = yield* ask([cell.get()])
    const leaves = list.remove(historyDueKey(at, subscriptionId))
    if (!head || sweptAt(head) !== at) return { answer: 0, writes: [leaves], isRelief: true }
    const rows =
      pagesUntil(head) > 0
        ? (yield* ask([PAGES.in(partition, subscriptionId).range({ limit: MAX_PAGES })]))[0]
        : []
    const inPages = sweptPages(due, head, rows, now, limit)
    const inHead = sweptHead(inPages.head, now, limit - inPages.removed)
    const soonest = Math.min(inPages.soonest, countInHead(inHead.rest).soonest)
    const next = Buffer.from(inHead.rest)
    const isEmpty = soonest === Number.POSITIVE_INFINITY
    if (!isEmpty) setSweptAt(next, soonest)
    const writes = [leaves, ...inPages.writes, isEmpty ? cell.remove() : cell.put({ value: next })]
    if (!isEmpty) writes.push(list.put({ key: historyDueKey(soonest, subscriptionId), value: true }))
    return { answer: inPages.removed + inHead.removed, writes, isRelief: true }
  }

const sweepHistories = async ({ kv }: Pick<VerbDeps, 'kv'>, now: number, limit: number): Promise<number> => {
  const to = behind(placeBytes(now + 1))
  let swept = 0
  const lists = PARTITIONS.map((partition) => HISTORIES_DUE.in(partition))
  const pages = await read(
    kv,
    lists.map((list) => list.keys({ to, limit: SWEEP_PAGE })),
  )
  for (const [nth, keys] of pages.entries()) {
    const partition = PARTITIONS[nth] ?? ''
    for (const key of keys) {
      const at = key.readDoubleBE(0)
      if (swept >= limit) return swept
      if (at > now) break
      const due = { partition, subscriptionId: key.toString('utf8', AT_BYTES), at }
      swept += await runOne(kv, partition, now, sweepHistory(due, now, limit - swept))
    }
  }
  return swept
}

/** The notification of a place in the list of what expires, with its places in the lists of what was sent. */
const sweepNotification = (list: (typeof notificationsDue)[number], key: Buffer) =>
  function* (): Verb<void> {
    const { expiresAt, createdAt, reference } = notificationDueIn(key)
    const cell = notificationCell(reference)
    const [{ value: one }] = yield* ask([cell.get()])
    const writes: Write[] = [list.remove(key)]
    // Another one may have taken the id after this one expired.
    if (one?.expiresAt === expiresAt && one.createdAt === createdAt) writes.push(cell.remove())
    const hints = one ? sentWrites('remove', one, createdAt, reference) : []
    return { answer: undefined, writes, hints, isRelief: true }
  }

const sweepNotifications = async (
  { kv }: Pick<VerbDeps, 'kv'>,
  now: number,
  limit: number,
): Promise<number> => {
  const to = behind(placeBytes(now + 1))
  const pages = await read(
    kv,
    notificationsDue.map((list) => list.keys({ to, limit: Math.min(limit, SWEEP_PAGE) })),
  )
  const due = pages.flatMap((keys, nth) => {
    const list = notificationsDue[nth]
    return list ? keys.filter((key) => key.readDoubleBE(0) <= now).map((key) => ({ list, key })) : []
  })
  const verbs = due.slice(0, limit).map(({ list, key }): PlacedVerb<void> => {
    const { partition } = list.name
    return { partition, verb: sweepNotification(list, key) }
  })
  if (verbs.length > 0) await kv.run(verbs, now)
  return verbs.length
}

export const createSweep = (deps: VerbDeps): Pick<NotifyStore, 'sweep'> => ({
  async sweep(now, limit) {
    let swept = await sweepHistories(deps, now, limit)
    if (swept < limit) swept += await sweepNotifications(deps, now, limit - swept)
    // What the engine removes by itself, of other rooms too, where it does not do so unasked.
    if (swept < limit) swept += await deps.kv.sweep(now, limit - swept)
    return swept
  },
})
