/** What became of notifications, by account. */
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import { ask, read } from '../../../storage/table.ts'
import {
  MAX_CHUNK_RECEIPTS,
  newChunk,
  newReceipt,
  packNames,
  type ReceiptFacts,
  STATES,
  sentAtOf,
} from '../packed/chunks.ts'
import { NO_ID } from '../packed/ids.ts'
import {
  DELIVERY_STATES,
  type DeliveryState,
  type NotificationName,
  type Receipt,
  type ReceiptsStore,
} from '../receipts.ts'
import type { Notification } from '../records.ts'
import { groupBy, type VerbDeps } from './deps.ts'
import { addReceipts, MAX_CHUNKS, receiptsOf } from './receipt-chunks.ts'
import { chunksOf, notificationCell, PARTITIONS, partitionOf, referenceOf } from './tables.ts'

export const stateOf = (state: number): DeliveryState =>
  DELIVERY_STATES.find((name) => STATES[name] === state) ?? 'failed'

/** The notification that is kept, and what stands for it in rows. */
export const keptOf = async (
  { kv }: Pick<VerbDeps, 'kv'>,
  of: NotificationName,
): Promise<{ notification: Notification; reference: Buffer } | undefined> => {
  const reference = referenceOf(of)
  const [{ value: notification }] = await read(kv, [notificationCell(reference).get()])
  return notification && { notification, reference }
}

type Failures = Parameters<ReceiptsStore['refuse']>[1]

const refuse = (
  { newChunkName }: Pick<VerbDeps, 'newChunkName'>,
  {
    partition,
    reference,
    notification,
  }: { partition: string; reference: Buffer; notification: Notification },
  failures: Failures,
  at: number,
) =>
  function* (): Verb<void> {
    const { createdAt: sentAt, expiresAt, projectId, domain, id: notificationId } = notification
    const set = chunksOf(partition, reference)
    const [chunks] = yield* ask([set.range({ limit: MAX_CHUNKS })])
    const known = new Map<string, ReceiptFacts>()
    for (const { value } of chunks) if (sentAtOf(value) === sentAt) addReceipts(known, value)
    const fresh = new Map(
      failures.filter(({ accountKey }) => !known.has(accountKey)).map((one) => [one.accountKey, one]),
    )
    const receipts = [...fresh.values()].map((failure) =>
      newReceipt({
        ...{ state: 'failed', isUnsent: false, at, copyId: NO_ID, subscriptionId: NO_ID },
        ...failure,
      }),
    )
    const names = packNames({ projectId, domain, notificationId, expiresAt })
    const writes: Write[] = []
    for (let from = 0; from < receipts.length; from += MAX_CHUNK_RECEIPTS) {
      const some = receipts.slice(from, from + MAX_CHUNK_RECEIPTS)
      const value = newChunk({ expiresAt, sentAt, pointers: [], names, receipts: some })
      writes.push(set.put({ key: newChunkName(), value, expiresAt }))
    }
    return { answer: undefined, writes }
  }

const receiptOf = ({ accountKey, account, state, at, reason }: ReceiptFacts): Receipt => ({
  ...{ accountKey, account, state: stateOf(state), at },
  ...(state === STATES.failed && reason !== '' && { reason }),
})

const byAccountKey = (a: ReceiptFacts, b: ReceiptFacts): number =>
  a.accountKey < b.accountKey ? -1 : a.accountKey > b.accountKey ? 1 : 0

const NONE: Record<DeliveryState, number> = { queued: 0, published: 0, delivered: 0, read: 0, failed: 0 }

type Receipts = Pick<ReceiptsStore, 'refuse' | 'receipts' | 'receiptCounts'>

export const createReceipts = (deps: VerbDeps): Receipts => ({
  async refuse(of, failures, at) {
    const kept = await keptOf(deps, of)
    if (!kept) return
    const verbs: PlacedVerb<void>[] = []
    for (const [partition, own] of groupBy(failures, ({ accountKey }) => partitionOf(accountKey)))
      verbs.push({ partition, verb: refuse(deps, { partition, ...kept }, own, at) })
    await deps.kv.run(verbs, kept.notification.createdAt)
  },

  // Partition after partition, in each by account key.
  async receipts(of, { state, after, limit }) {
    const kept = await keptOf(deps, of)
    if (!kept) return []
    const { reference, notification } = kept
    const found: Receipt[] = []
    const first = after === undefined ? 0 : PARTITIONS.indexOf(partitionOf(after))
    for (const [nth, partition] of PARTITIONS.slice(first).entries()) {
      const all = await receiptsOf(deps.kv, partition, reference, notification.createdAt)
      const wanted = [...all.values()].filter(
        (one) =>
          (state === undefined || one.state === STATES[state]) &&
          (after === undefined || nth > 0 || one.accountKey > after),
      )
      found.push(...wanted.sort(byAccountKey).map(receiptOf))
      if (found.length >= limit) break
    }
    return found.slice(0, limit)
  },

  async receiptCounts(of) {
    const kept = await keptOf(deps, of)
    const counts = { ...NONE }
    if (!kept) return counts
    for (const partition of PARTITIONS) {
      const all = await receiptsOf(deps.kv, partition, kept.reference, kept.notification.createdAt)
      for (const { state } of all.values()) counts[stateOf(state)] += 1
    }
    return counts
  },
})
