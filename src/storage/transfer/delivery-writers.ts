/** Copies, receipts, requests and the outbox of another store, put into the notify server's rows. */

import { appendPointer, entryWrites, newEntries, newPointer } from '../../notify/store/outbox/line.ts'
import {
  expiresAtOf,
  newChunk,
  newReceipt,
  packNames,
  type ReceiptFacts,
  receiptsIn,
  sentAtOf,
} from '../../notify/store/packed/chunks.ts'
import {
  type Copy,
  copyRest,
  FLAGS,
  findInHead,
  findInPage,
  isHeldBy,
  REFERENCE_BYTES,
  withCopy,
} from '../../notify/store/packed/heads.ts'
import { NO_ID, packId } from '../../notify/store/packed/ids.ts'
import {
  chunkIn,
  type ReceiptPlace,
  receiptPlaceOf,
  referenceIn,
} from '../../notify/store/packed/line-rows.ts'
import type { Notification, OutboxEntry } from '../../notify/store/store.ts'
import { collapseDigest } from '../../notify/store/verbs/collapse.ts'
import { groupBy, type Steps } from '../../notify/store/verbs/deps.ts'
import { enterDue, makeRoom } from '../../notify/store/verbs/enqueue.ts'
import { beginHistories, openChunks, openHistories } from '../../notify/store/verbs/open-rows.ts'
import { stateOf } from '../../notify/store/verbs/receipts.ts'
import {
  ACCOUNTS,
  chunksOf,
  copyOwner,
  LAST_OF_KEY,
  notificationCell,
  partitionOf,
  referenceOf,
  requestOwner,
} from '../../notify/store/verbs/tables.ts'
import { name } from '../bytes.ts'
import type { Kv, PlacedVerb, Verb, Write } from '../kv.ts'
import { ask, read } from '../table.ts'
import { restoredChunkName } from './restored-chunks.ts'
import type { Records, Writers } from './transfer.ts'

type Named = Pick<Records['receipt'], 'projectId' | 'domain' | 'notificationId' | 'sentAt'>

const referenceOfRecord = ({ projectId, domain, notificationId }: Named): Buffer =>
  referenceOf({ projectId, domain, id: notificationId })

/** The notifications of records, undefined where it is not kept. */
const notificationsOf = async (
  kv: Pick<Kv, 'read'>,
  all: readonly Named[],
): Promise<(Notification | undefined)[]> => {
  const found = await read(
    kv,
    all.map((one) => notificationCell(referenceOfRecord(one)).get()),
  )
  return all.map(({ sentAt }, nth) => {
    const notification = found[nth]?.value
    return notification?.createdAt === sentAt ? notification : undefined
  })
}

/** A copy as it is put into a history. */
interface RestoredCopy<R> {
  record: R
  flags: number
  reference: Buffer
  collapseKey: string | undefined
}
type CopyRecord = Pick<Records['copy'], 'accountKey' | 'subscriptionId' | 'id' | 'sentAt' | 'expiresAt'>

/** Copies of one subscription; answers whether it is there. */
const restoreCopies = <R extends CopyRecord>(partition: string, own: readonly RestoredCopy<R>[]) =>
  function* (): Verb<boolean> {
    const { accountKey = '', subscriptionId = '' } = own[0]?.record ?? {}
    const histories = yield* openHistories(partition, new Map([[subscriptionId, 'all']]))
    yield* beginHistories(partition, [{ accountKey, subscriptionId }], histories)
    const history = histories.get(subscriptionId)
    if (!history || !isHeldBy(history.head, accountKey)) return { answer: false, writes: [] }
    const chunk = restoredChunkName(accountKey)
    const writes: Write[] = []
    const hints: Write[] = []
    for (const { record, flags, reference, collapseKey } of own) {
      const { sentAt, expiresAt } = record
      const id = packId(record.id)
      if (collapseKey !== undefined) {
        const value = { copyId: record.id, receipt: receiptPlaceOf(reference, chunk) }
        const last = LAST_OF_KEY.in(partition, subscriptionId)
        writes.push(last.put({ key: collapseDigest(collapseKey), value, expiresAt }))
      }
      const isThere =
        findInHead(history.head, id) >= 0 || history.pages.some(({ value }) => findInPage(value, id) >= 0)
      if (isThere) continue
      writes.push(...makeRoom(partition, subscriptionId, id, history))
      history.setHead(withCopy(history.head, id, copyRest({ sentAt, expiresAt, reference, chunk, flags })))
      writes.push(...enterDue(partition, subscriptionId, history, expiresAt))
      if (flags !== FLAGS.withdrawn)
        hints.push(copyOwner(record.id).put({ value: [accountKey, subscriptionId], expiresAt }))
    }
    writes.push(...history.writes(partition, subscriptionId))
    return { answer: true, writes, hints }
  }

/** Answers those whose subscription is not there. */
const writeCopies = async <R extends CopyRecord>(
  kv: Kv,
  copies: readonly RestoredCopy<R>[],
  now: number,
): Promise<R[]> => {
  const groups = [
    ...groupBy(copies, ({ record }) => `${record.accountKey} ${record.subscriptionId}`).values(),
  ]
  const verbs = groups.map((own): PlacedVerb<boolean> => {
    for (const { record } of own) name(record.id)
    const partition = partitionOf(own[0]?.record.accountKey ?? '')
    // Newest last, so that older ones are in pages.
    const sorted = own.toSorted((a, b) => a.record.sentAt - b.record.sentAt)
    return { partition, verb: restoreCopies(partition, sorted) }
  })
  const placed = await kv.run(verbs, now)
  return groups.flatMap((own, nth) => (placed[nth] ? [] : own.map(({ record }) => record)))
}

const NO_REFERENCE = Buffer.alloc(REFERENCE_BYTES)
/** Of a receipt whose subscription has ended. */
const NO_SUBSCRIPTION = '-'

interface FoundCopy {
  copyId: Buffer
  subscriptionId: string
}

/** The copy of a receipt, which its record does not name mostly: the one that its account has of the notification. */
const copyOf = (
  histories: ReadonlyMap<string, readonly Copy[]>,
  { copyId, sentAt }: Records['receipt'],
  reference: Buffer,
): FoundCopy | undefined => {
  const wanted = copyId === undefined ? undefined : packId(copyId)
  const isWanted = (one: Copy) =>
    wanted ? one.id.equals(wanted) : one.sentAt === sentAt && one.reference.equals(reference)
  for (const [subscriptionId, copies] of histories) {
    const copy = copies.find(isWanted)
    if (copy) return { copyId: copy.id, subscriptionId }
  }
  return wanted && { copyId: wanted, subscriptionId: NO_SUBSCRIPTION }
}

const receiptWrite = (partition: string, record: Records['receipt'], copy: FoundCopy | undefined): Write => {
  const { projectId, domain, notificationId, accountKey, account, state, at, reason } = record
  const { sentAt, expiresAt } = record
  const receipt = newReceipt({
    ...{ state, isUnsent: false, at, account, accountKey, reason },
    copyId: copy?.copyId ?? NO_ID,
    subscriptionId: packId(copy?.subscriptionId ?? NO_SUBSCRIPTION),
  })
  const names = packNames({ projectId, domain, notificationId, expiresAt })
  const value = newChunk({ expiresAt, sentAt, pointers: [], names, receipts: [receipt] })
  const key = restoredChunkName(accountKey)
  return chunksOf(partition, referenceOfRecord(record)).put({ key, value, expiresAt })
}

/** Receipts of one account. */
const restoreReceipts = (partition: string, accountKey: string, own: readonly Records['receipt'][]) =>
  function* (): Verb<void> {
    const key = restoredChunkName(accountKey)
    const [{ value: row }] = yield* ask([ACCOUNTS.in(partition, accountKey).get()])
    const known = yield* ask(own.map((one) => chunksOf(partition, referenceOfRecord(one)).get(key)))
    const missing = own.filter((_, nth) => !known[nth]?.value)
    const subscriptions = row?.record.subscriptions ?? []
    const wanted = new Map(subscriptions.map(({ id }) => [id, 'all'] as const))
    const copies = new Map<string, Copy[]>()
    for (const [id, history] of yield* openHistories(partition, wanted)) copies.set(id, history.copies())
    const writes = missing.map((one) =>
      receiptWrite(partition, one, copyOf(copies, one, referenceOfRecord(one))),
    )
    return { answer: undefined, writes }
  }

type NotificationTask = Extract<OutboxEntry['task'], { kind: 'notification' }>

/** The receipt of an entry, in a chunk of its own; undefined where it has none. */
const receiptFor = (chunk: Buffer | undefined, entryId: string): ReceiptFacts | undefined => {
  const id = packId(entryId)
  return chunk && receiptsIn(chunk).find(({ copyId }) => copyId.equals(id))
}

/** Where the receipt of a copy is: as its history says; of one whose subscription has ended, as its entry says. */
function* placeOf(
  partition: string,
  { id, task }: { id: string; task: NotificationTask },
): Steps<ReceiptPlace> {
  const { accountKey, subscriptionId, projectId = '', domain, notificationId } = task
  const copyId = packId(id)
  const histories = yield* openHistories(partition, new Map([[subscriptionId, [copyId]]]))
  const copy = histories.get(subscriptionId)?.find(copyId)
  if (copy) return copy.receipt
  return receiptPlaceOf(referenceOf({ projectId, domain, id: notificationId }), restoredChunkName(accountKey))
}

/** The chunk of a copy that must be sent still, with the pointer that says so. */
const unsentChunk = (
  partition: string,
  { entry, task, place }: { entry: OutboxEntry; task: NotificationTask; place: number },
  { receipts, chunk, facts }: { receipts: ReceiptPlace; chunk: Buffer; facts: ReceiptFacts },
): Write[] => {
  const { accountKey, subscriptionId, projectId = '', domain, notificationId } = task
  const [expiresAt, sentAt] = [expiresAtOf(chunk), sentAtOf(chunk)]
  const pointer = newPointer(place, entry.createdAt, 1)
  const { account, at, copyId, reason } = facts
  const receipt = newReceipt({
    ...{ state: stateOf(facts.state), isUnsent: true, at, copyId, account, accountKey, reason },
    subscriptionId: packId(subscriptionId),
  })
  const names = packNames({ projectId, domain, notificationId, expiresAt: entry.expiresAt })
  const value = newChunk({ expiresAt, sentAt, pointers: [pointer], names, receipts: [receipt] })
  return [
    chunksOf(partition, referenceIn(receipts)).put({
      ...{ key: chunkIn(receipts), value, expiresAt },
      keepsEnd: true,
    }),
    appendPointer(partition, receipts, pointer),
  ]
}

const restoreEntry = (partition: string, entry: OutboxEntry, place: number) =>
  function* (): Verb<void> {
    const { id, task } = entry
    if (task.kind === 'notification') {
      const receipts = yield* placeOf(partition, { id, task })
      const chunk = (yield* openChunks(partition, [receipts])).get(receipts)?.value
      const facts = receiptFor(chunk, id)
      if (facts?.isUnsent) return { answer: undefined, writes: [] }
      if (chunk && facts) {
        const writes = unsentChunk(partition, { entry, task, place }, { receipts, chunk, facts })
        return { answer: undefined, writes }
      }
    }
    const fresh = yield* newEntries(partition, [entry])
    return { answer: undefined, writes: entryWrites(partition, fresh, () => place) }
  }

/** The account that an entry says it is about; another one is put where its name leads. */
const homeOf = ({ id, task }: OutboxEntry): string => {
  if ('accountKey' in task) return partitionOf(task.accountKey)
  return partitionOf(task.kind === 'response' ? (task.view?.accountKey ?? id) : id)
}

const outboxWriter = (kv: Kv, now: () => number): Writers['outbox'] => {
  const used = new Set<string>()
  return {
    async write(all) {
      const verbs = all.map(({ place, entry }): PlacedVerb<void> => {
        name(entry.id)
        const partition = homeOf(entry)
        // Of an engine that counts in several places two may have the same one.
        let own = place
        while (used.has(`${partition} ${entry.createdAt} ${own}`)) own += 1
        used.add(`${partition} ${entry.createdAt} ${own}`)
        return { partition, verb: restoreEntry(partition, entry, own) }
      })
      await kv.run(verbs, now())
      return []
    },
  }
}

export const deliveryWriters = (
  kv: Kv,
  now: () => number,
): Pick<Writers, 'copy' | 'withdrawn' | 'receipt' | 'request' | 'outbox'> => ({
  copy: {
    async write(all) {
      const kept = await notificationsOf(kv, all)
      const copies = all.flatMap((record, nth) => {
        const notification = kept[nth]
        if (!notification) return []
        const collapseKey = record.isLastOfKey ? notification.collapseKey : undefined
        const flags = record.isRead ? FLAGS.read : 0
        return [{ record, flags, reference: referenceOfRecord(record), collapseKey }]
      })
      const left = new Set(await writeCopies(kv, copies, now()))
      return all.filter((record, nth) => !kept[nth] || left.has(record))
    },
  },
  withdrawn: {
    write: (all) =>
      writeCopies(
        kv,
        all.map((record) => ({
          ...{ record, flags: FLAGS.withdrawn, reference: NO_REFERENCE, collapseKey: undefined },
        })),
        now(),
      ),
  },
  receipt: {
    async write(all) {
      const kept = await notificationsOf(kv, all)
      const placed = all.filter((_, nth) => kept[nth])
      const groups = [...groupBy(placed, ({ accountKey }) => accountKey)]
      const verbs = groups.map(([accountKey, own]): PlacedVerb<void> => {
        const partition = partitionOf(accountKey)
        return { partition, verb: restoreReceipts(partition, accountKey, own) }
      })
      await kv.run(verbs, now())
      return all.filter((_, nth) => !kept[nth])
    },
  },
  request: {
    async write(all) {
      await kv.commit(
        all.map(({ id, expiresAt }) => {
          const set = requestOwner(id)
          return {
            partition: set.name.partition,
            writes: [set.create({ value: ['', expiresAt], expiresAt })],
          }
        }),
        now(),
      )
      return []
    },
  },
  outbox: outboxWriter(kv, now),
})
