/** Keeps notifications, and enqueues them for subscribers. */
import { ask, read, runOne } from '../../../storage/table.ts'
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import type { Notification } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import { chunkHead, MAX_CHUNK_RECEIPTS, newReceipt } from './chunks.ts'
import { groupBy, placeBytes, type VerbDeps, weighed } from './deps.ts'
import { receiptPlaceOf } from './entries.ts'
import {
  copyAt,
  copyRest,
  divide,
  findInHead,
  findInPage,
  isFull,
  isHeldBy,
  pagesUntil,
  withCopy,
  withoutCopy,
} from './heads.ts'
import { packId } from './ids.ts'
import { chunksOf, HEADS, notificationCell, OUTBOX, PAGES, partitionOf, referenceOf } from './rows.ts'

type Target = Parameters<NotifyStore['enqueue']>[1][number]
type Outcome = 'sent' | 'repeated' | 'gone'

/** Targets of one call of the port: others wait for a transaction meanwhile. */
const MAX_STEP_TARGETS = 500
/** About ten pages of a history are looked through for a copy that may be an old one. */
const MAX_PAGES = 1_000

/** Keeps the notification unless one with its id is kept that has not expired; answers the one that is. */
export const keep = async ({ kv, kept }: VerbDeps, notification: Notification): Promise<Notification> => {
  const reference = referenceOf(notification)
  const cell = notificationCell(reference)
  const name = cell.name.subject
  const { createdAt: now, expiresAt } = notification
  const isKept = (one: Notification | undefined): one is Notification =>
    one !== undefined && one.expiresAt > now
  const known = kept.get(name)
  if (isKept(known)) return known
  const [{ value: there }] = await read(kv, [cell.get()])
  const now_kept = isKept(there)
    ? there
    : await runOne(kv, cell.name.partition, now, function* (): Verb<Notification> {
        const [{ value }] = yield* ask([cell.get()])
        if (isKept(value)) return { answer: value, writes: [] }
        return { answer: notification, writes: [cell.put({ value: notification, expiresAt })] }
      })
  kept.put(name, now_kept)
  return now_kept
}

interface About {
  notification: Notification
  reference: Buffer
  now: number
}

/** Whether a page has the copy; `ids` are packed. */
function* inPages(partition: string, unsure: readonly { subscriptionId: string; id: Buffer }[], now: number) {
  const found = new Set<string>()
  if (unsure.length === 0) return found
  const all = yield* ask(
    unsure.map(({ subscriptionId }) => PAGES.in(partition, subscriptionId).range({ limit: MAX_PAGES })),
  )
  for (const [nth, { subscriptionId, id }] of unsure.entries()) {
    for (const { value: page } of all[nth] ?? []) {
      const at = findInPage(page, id)
      if (at >= 0 && copyAt(page, at).expiresAt > now) found.add(`${subscriptionId} ${id.toString('hex')}`)
    }
  }
  return found
}

/** Targets of one partition, whose receipts make one chunk. */
const enqueueSome = (
  { nextPlace, newChunkName }: Pick<VerbDeps, 'nextPlace' | 'newChunkName'>,
  partition: string,
  { notification, reference, now }: About,
  targets: readonly Target[],
) =>
  function* (): Verb<Outcome[]> {
    const { createdAt: sentAt, expiresAt } = notification
    const sets = targets.map(({ subscriptionId }) => HEADS.in(partition, subscriptionId))
    const ids = targets.map(({ deliveredId }) => packId(deliveredId))
    const found = yield* ask(sets.map((set) => set.get()))
    const heads = new Map<string, Buffer | undefined>()
    for (const [nth, { subscriptionId }] of targets.entries()) heads.set(subscriptionId, found[nth]?.value)
    const unsure = targets.flatMap(({ subscriptionId }, nth) => {
      const [head, id] = [heads.get(subscriptionId), ids[nth]]
      return head && id && pagesUntil(head) >= sentAt ? [{ subscriptionId, id }] : []
    })
    const paged = yield* inPages(partition, unsure, now)

    const chunk = newChunkName()
    const rest = copyRest({ sentAt, expiresAt, reference, chunk })
    const receipts: Buffer[] = []
    let due = 0
    const writes: Write[] = []
    const answer = targets.map(({ accountKey, account, subscriptionId, outbox: entry }, nth): Outcome => {
      const [set, id] = [sets[nth], ids[nth]]
      let head = heads.get(subscriptionId)
      if (!set || !id || !head || !isHeldBy(head, accountKey)) return 'gone'
      const at = findInHead(head, id)
      if (at >= 0) {
        if (copyAt(head, at).expiresAt > now) return 'repeated'
        head = withoutCopy(head, at)
      } else if (paged.size > 0 && paged.has(`${subscriptionId} ${id.toString('hex')}`)) return 'repeated'
      if (isFull(head)) {
        const divided = divide(head)
        const key = Buffer.concat([placeBytes(divided.until), id])
        const page = { key, value: divided.page, expiresAt: divided.expiresAt }
        writes.push(PAGES.in(partition, subscriptionId).put(page))
        head = divided.head
      }
      head = withCopy(head, id, rest)
      heads.set(subscriptionId, head)
      writes.push(set.put({ value: head }))
      const { createdAt } = entry
      due = Math.max(due, createdAt)
      receipts.push(
        newReceipt({
          at: createdAt,
          copyId: id,
          subscriptionId: packId(subscriptionId),
          account,
          accountKey,
        }),
      )
      return 'sent'
    })
    if (receipts.length === 0) return { answer, writes }
    const place = weighed(nextPlace(), receipts.length)
    const value = Buffer.concat([chunkHead(expiresAt, now, place), ...receipts])
    const { projectId, domain, id: notificationId, deliverBy } = notification
    const pointer = {
      receipts: receiptPlaceOf(reference, chunk),
      projectId,
      domain,
      notificationId,
      expiresAt: deliverBy,
    }
    writes.push(
      chunksOf(partition, reference).put({ key: chunk, value, expiresAt }),
      OUTBOX.in(partition).append({ at: due, key: place, value: { pointer } }),
    )
    return { answer, writes }
  }

interface PlacedTarget {
  target: Target
  nth: number
}

export const createEnqueue = (deps: VerbDeps): Pick<NotifyStore, 'putNotification' | 'enqueue'> => ({
  putNotification: (notification) => keep(deps, notification),

  async enqueue(wanted, targets) {
    if (wanted.collapseKey !== undefined) throw new Error('Collapse keys are not in this spike')
    const notification = await keep(deps, wanted)
    const about: About = { notification, reference: referenceOf(notification), now: wanted.createdAt }
    const outcomes = new Array<Outcome>(targets.length).fill('gone')
    for (let from = 0; from < targets.length; from += MAX_STEP_TARGETS) {
      const step = targets.slice(from, from + MAX_STEP_TARGETS).map((target, at): PlacedTarget => {
        if (target.outbox.id !== target.deliveredId) throw new Error('An outbox entry of a copy has its id')
        return { target, nth: from + at }
      })
      const verbs: PlacedVerb<Outcome[]>[] = []
      const shares: PlacedTarget[][] = []
      for (const [partition, own] of groupBy(step, ({ target }) => partitionOf(target.accountKey))) {
        for (let at = 0; at < own.length; at += MAX_CHUNK_RECEIPTS) {
          const some = own.slice(at, at + MAX_CHUNK_RECEIPTS)
          const some_targets = some.map(({ target }) => target)
          verbs.push({ partition, verb: enqueueSome(deps, partition, about, some_targets) })
          shares.push(some)
        }
      }
      const answers = await deps.kv.run(verbs, about.now)
      for (const [share, own] of shares.entries())
        for (const [at, { nth }] of own.entries()) outcomes[nth] = answers[share]?.[at] ?? 'gone'
      if (answers.some((some) => some.includes('sent'))) deps.ring()
    }
    return outcomes
  },
})
