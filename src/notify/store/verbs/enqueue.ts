/** Enqueues notifications for subscribers. */
import { name } from '../../../storage/bytes.ts'
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { appendPointer, newPointer } from '../outbox/line.ts'
import { MAX_CHUNK_RECEIPTS, newChunk, newReceipt, packNames } from '../packed/chunks.ts'
import {
  copyAt,
  copyRest,
  divide,
  findInHead,
  findInPage,
  isFull,
  isHeldBy,
  pagesUntil,
  setSweptAt,
  sweptAt,
  withCopy,
  withoutCopy,
} from '../packed/heads.ts'
import { packId } from '../packed/ids.ts'
import { receiptPlaceOf } from '../packed/line-rows.ts'
import type { Notification, OutboxEntry } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import { type Collapse, collapseDigest, lastOfKey, openCollapse } from './collapse.ts'
import { placeBytes, type Steps, type VerbDeps } from './deps.ts'
import { keep } from './notifications.ts'
import { beginHistories, OpenHistory, openHistories } from './open-rows.ts'
import { chunksOf, copyOwner, HEADS, HISTORIES_DUE, PAGES, partitionOf, referenceOf } from './tables.ts'

type Target = Parameters<NotifyStore['enqueue']>[1][number]
type Outcome = 'sent' | 'repeated' | 'gone'

/** Targets of one call of the port: others wait for a transaction meanwhile. */
const MAX_STEP_TARGETS = 500
/** Pages of a history that are looked through for a copy that may be an old one. */
const MAX_PAGES = 10_000

interface About {
  notification: Notification
  reference: Buffer
  digest: Buffer | undefined
  isLinked: boolean
  now: number
}

export const historyDueKey = (at: number, subscriptionId: string): Buffer =>
  Buffer.concat([placeBytes(at), name(subscriptionId)])

/** Whether a page has the copy; `ids` are packed. */
function* inPages(
  partition: string,
  unsure: readonly { subscriptionId: string; id: Buffer }[],
  now: number,
): Steps<Set<string>> {
  const found = new Set<string>()
  if (unsure.length === 0) return found
  const all = yield* ask(
    unsure.map(({ subscriptionId }) => PAGES.in(partition, subscriptionId).range({ limit: MAX_PAGES })),
  )
  for (const [nth, { subscriptionId, id }] of unsure.entries()) {
    for (const { value: page } of all[nth] ?? []) {
      const at = findInPage(page, id)
      if (at >= 0 && copyAt(page, at).expiresAt > now) found.add(pagedName(subscriptionId, id))
    }
  }
  return found
}
const pagedName = (subscriptionId: string, id: Buffer) => `${subscriptionId} ${id.toString('hex')}`

interface OpenTargets {
  histories: Map<string, OpenHistory>
  paged: Set<string>
  collapse: Collapse | undefined
}

/** Reads what the verb decides from. */
function* openTargets(
  partition: string,
  { notification: { createdAt: sentAt }, digest, now }: About,
  targets: readonly Target[],
  ids: readonly Buffer[],
): Steps<OpenTargets> {
  const subscriptionIds = [...new Set(targets.map(({ subscriptionId }) => subscriptionId))]
  let histories = new Map<string, OpenHistory>()
  let collapse: Collapse | undefined
  if (digest) {
    const last = yield* lastOfKey(partition, digest, subscriptionIds)
    const copies = subscriptionIds.map((id) => {
      const one = last.get(id)
      return [id, one ? [packId(one.copyId)] : []] as const
    })
    histories = yield* openHistories(partition, new Map(copies))
    collapse = yield* openCollapse(partition, digest, last)
  } else {
    const heads = yield* ask(subscriptionIds.map((id) => HEADS.in(partition, id).get()))
    for (const [nth, id] of subscriptionIds.entries()) {
      const head = heads[nth]?.value
      if (head) histories.set(id, new OpenHistory(head))
    }
  }
  yield* beginHistories(partition, targets, histories)
  const unsure = targets.flatMap(({ subscriptionId }, nth) => {
    const [head, id] = [histories.get(subscriptionId)?.head, ids[nth]]
    return head && id && pagesUntil(head) >= sentAt ? [{ subscriptionId, id }] : []
  })
  return { histories, collapse, paged: yield* inPages(partition, unsure, now) }
}

/** Moves all copies of a head that is full to a page. */
export const makeRoom = (
  partition: string,
  subscriptionId: string,
  id: Buffer,
  history: OpenHistory,
): Write[] => {
  if (!isFull(history.head)) return []
  const divided = divide(history.head)
  history.setHead(divided.head)
  const key = Buffer.concat([placeBytes(divided.until), id])
  return [PAGES.in(partition, subscriptionId).put({ key, value: divided.page })]
}

/** A history is in the list of what expires where its first copy does; entered anew only for one that expires sooner. */
export const enterDue = (
  partition: string,
  subscriptionId: string,
  history: OpenHistory,
  expiresAt: number,
): Write[] => {
  const former = sweptAt(history.head)
  if (former > 0 && former <= expiresAt) return []
  const set = HISTORIES_DUE.in(partition)
  const head = Buffer.from(history.head)
  setSweptAt(head, expiresAt)
  history.setHead(head)
  return [
    ...(former > 0 ? [set.remove(historyDueKey(former, subscriptionId))] : []),
    set.put({ key: historyDueKey(expiresAt, subscriptionId), value: true }),
  ]
}

/** Targets of one partition, whose receipts make one chunk. */
const enqueueSome = (
  { nextPlace, newChunkName }: Pick<VerbDeps, 'nextPlace' | 'newChunkName'>,
  about: About,
  { partition, names, own }: Share,
) =>
  function* (): Verb<Outcome[]> {
    const targets = own.map(({ target }) => target)
    const { notification, reference, isLinked, now } = about
    const { createdAt: sentAt, expiresAt } = notification
    const ids = targets.map(({ deliveredId }) => packId(deliveredId))
    const { histories, paged, collapse } = yield* openTargets(partition, about, targets, ids)
    const chunk = newChunkName()
    const rest = copyRest({ sentAt, expiresAt, reference, chunk })
    const receipts: Buffer[] = []
    let createdAt = 0
    const writes: Write[] = []
    const hints: Write[] = []
    const answer = targets.map((target, nth): Outcome => {
      const { accountKey, account, subscriptionId, deliveredId, outbox: entry } = target
      const [id, history] = [ids[nth], histories.get(subscriptionId)]
      if (!id || !history || !isHeldBy(history.head, accountKey)) return 'gone'
      const at = findInHead(history.head, id)
      if (at >= 0) {
        if (copyAt(history.head, at).expiresAt > now) return 'repeated'
        history.setHead(withoutCopy(history.head, at))
      } else if (paged.size > 0 && paged.has(pagedName(subscriptionId, id))) return 'repeated'
      collapse?.replace(subscriptionId, history, entry.createdAt)
      writes.push(...makeRoom(partition, subscriptionId, id, history))
      history.setHead(withCopy(history.head, id, rest))
      writes.push(...enterDue(partition, subscriptionId, history, expiresAt))
      collapse?.note(subscriptionId, deliveredId, reference, chunk)
      if (isLinked) hints.push(copyOwner(deliveredId).put({ value: [accountKey, subscriptionId], expiresAt }))
      createdAt = Math.max(createdAt, entry.createdAt)
      receipts.push(
        newReceipt({
          ...{ state: 'queued', isUnsent: true, at: entry.createdAt },
          ...{ copyId: id, subscriptionId: packId(subscriptionId), account, accountKey },
        }),
      )
      return 'sent'
    })
    if (receipts.length === 0) return { answer, writes: [] }
    const pointer = newPointer(nextPlace(), createdAt, (1 << receipts.length) - 1)
    const value = newChunk({ expiresAt, sentAt, pointers: [pointer], names, receipts })
    for (const [id, history] of histories) writes.push(...history.writes(partition, id))
    if (collapse) writes.push(...collapse.writes(expiresAt))
    writes.push(
      chunksOf(partition, reference).put({ key: chunk, value, expiresAt }),
      appendPointer(partition, receiptPlaceOf(reference, chunk), pointer),
    )
    return { answer, writes, hints }
  }

interface PlacedTarget {
  target: Target
  nth: number
}

/** Targets whose receipts make one chunk. */
interface Share {
  partition: string
  names: Buffer
  own: PlacedTarget[]
}

type Task = Extract<OutboxEntry['task'], { kind: 'notification' }>

/** Throws for an entry that is not the one of the copy. */
const taskOf = ({ accountKey, subscriptionId, deliveredId, outbox }: Target): Task => {
  const { id, task, notBefore } = outbox
  if (id !== deliveredId) throw new Error(`An outbox entry of a copy has its id: ${id}`)
  const isOwn = task.kind === 'notification' && task.accountKey === accountKey
  if (!isOwn || task.subscriptionId !== subscriptionId || notBefore !== undefined)
    throw new Error(`An outbox entry of a copy says that it is sent: ${id}`)
  return task
}

/** The names of chunks: targets of one notification have the same, mostly. */
const createNaming = () => {
  let last: { task: Task; expiresAt: number; names: Buffer } | undefined
  const known = new Map<string, Buffer>()
  return (target: Target): Buffer => {
    const task = taskOf(target)
    const { expiresAt } = target.outbox
    const { projectId = '', domain, notificationId } = task
    const isSame =
      last?.expiresAt === expiresAt &&
      last.task.notificationId === notificationId &&
      last.task.domain === domain &&
      last.task.projectId === task.projectId
    if (last && isSame) return last.names
    const names = packNames({ projectId, domain, notificationId, expiresAt })
    const text = names.toString('latin1')
    const shared = known.get(text) ?? names
    known.set(text, shared)
    last = { task, expiresAt, names: shared }
    return shared
  }
}

/** Targets by the chunks that their receipts make. */
const sharesOf = (targets: readonly Target[], from: number): Share[] => {
  const namesFor = createNaming()
  const open = new Map<string, Share[]>()
  const shares: Share[] = []
  for (const [at, target] of targets.entries()) {
    const partition = partitionOf(target.accountKey)
    const names = namesFor(target)
    const own = open.get(partition) ?? []
    if (own.length === 0) open.set(partition, own)
    let share = own.find((one) => one.names === names)
    if (!share) {
      share = { partition, names, own: [] }
      own.push(share)
      shares.push(share)
    }
    share.own.push({ target, nth: from + at })
    // It is full: the next one of these names begins another.
    if (share.own.length === MAX_CHUNK_RECEIPTS) own.splice(own.indexOf(share), 1)
  }
  return shares
}

const aboutOf = (notification: Notification, isLinked: boolean, now: number): About => {
  const { collapseKey } = notification
  return {
    notification,
    reference: referenceOf(notification),
    digest: collapseKey === undefined ? undefined : collapseDigest(collapseKey),
    isLinked,
    now,
  }
}

export const createEnqueue = (deps: VerbDeps): Pick<NotifyStore, 'enqueue'> => ({
  async enqueue(wanted, targets, { isLinked = false } = {}) {
    const about = aboutOf(await keep(deps, wanted), isLinked, wanted.createdAt)
    const outcomes = new Array<Outcome>(targets.length).fill('gone')
    for (let from = 0; from < targets.length; from += MAX_STEP_TARGETS) {
      const shares = sharesOf(targets.slice(from, from + MAX_STEP_TARGETS), from)
      const verbs = shares.map(
        (share): PlacedVerb<Outcome[]> => ({
          partition: share.partition,
          verb: enqueueSome(deps, about, share),
        }),
      )
      const answers = await deps.kv.run(verbs, about.now)
      for (const [share, { own }] of shares.entries())
        for (const [at, { nth }] of own.entries()) outcomes[nth] = answers[share]?.[at] ?? 'gone'
      if (answers.some((some) => some.includes('sent'))) deps.ring()
    }
    return outcomes
  },
})
