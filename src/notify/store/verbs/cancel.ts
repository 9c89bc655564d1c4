/** Takes back what is queued and what nobody is sending. */
import { createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import type { Verb, Write } from '../../../storage/kv.ts'
import { ask, read, runOne } from '../../../storage/table.ts'
import { type Withdrawing, withdraw, withdrawLater } from '../outbox/complete.ts'
import { unsentIn } from '../outbox/expand.ts'
import { TAKING } from '../outbox/leases.ts'
import { freePointers } from '../outbox/line.ts'
import { pointersOf, type ReceiptFacts, STATES, sentAtOf } from '../packed/chunks.ts'
import { receiptPlaceOf } from '../packed/line-rows.ts'
import { CANCELLED, type ReceiptsStore } from '../receipts.ts'
import type { Steps, VerbDeps } from './deps.ts'
import { OpenChunk } from './open-rows.ts'
import { keptOf } from './receipts.ts'
import { chunksOf, PARTITIONS } from './tables.ts'

/** Chunks that are looked through together. */
const CHUNK_PAGE = 200

interface Cancelling {
  partition: string
  reference: Buffer
  sentAt: number
  /** How many to withdraw. */
  limit: number
  at: number
}

interface Row {
  key: Buffer
  value: Buffer
}

const isQueued = ({ state }: ReceiptFacts): boolean => state === STATES.queued

/** Receipts of the chunk that are queued, whose row of the outbox nobody has. */
function* freeIn({ partition, reference, at }: Cancelling, { key, value }: Row): Steps<ReceiptFacts[]> {
  const pointers = pointersOf(value).filter(({ mask }) => unsentIn(value, mask).some(isQueued))
  if (pointers.length === 0) return []
  const free = yield* ask(freePointers(partition, receiptPlaceOf(reference, key), pointers, at))
  return pointers.flatMap(({ mask }, nth) => (free[nth] ? unsentIn(value, mask).filter(isQueued) : []))
}

/** Withdraws what is free of the rows; answers how many, and whether there is one more. */
const cancelIn = (about: Cancelling, keys: readonly Buffer[]) =>
  function* (): Verb<{ cancelled: number; more: boolean }> {
    const { partition, reference, sentAt, limit, at } = about
    const set = chunksOf(partition, reference)
    const found = yield* ask(keys.map((key) => set.get(key)))
    const withdrawn: Withdrawing = new Map()
    const writes: Write[] = []
    let cancelled = 0
    let more = false
    for (const [nth, key] of keys.entries()) {
      const value = found[nth]?.value
      if (!value || sentAtOf(value) !== sentAt || more) continue
      const free = yield* freeIn(about, { key, value })
      more = cancelled + free.length > limit
      const chunk = new OpenChunk(receiptPlaceOf(reference, key), value)
      for (const { copyId, subscriptionId } of free.slice(0, limit - cancelled)) {
        const receipt = chunk.find(copyId)
        if (!receipt) continue
        chunk.fail(receipt.at, at, CANCELLED)
        withdrawLater(withdrawn, subscriptionId, copyId)
        cancelled += 1
      }
      writes.push(...chunk.writes(partition))
    }
    writes.push(...(yield* withdraw(partition, withdrawn)))
    return { answer: { cancelled, more }, writes, isRelief: true }
  }

/** How far a cancellation has come, which goes on with the next step. */
interface Position {
  /** Of the partition. */
  nth: number
  from: Buffer | undefined
}

/** In one partition, from a chunk on. */
const cancelAll = async (
  { kv }: Pick<VerbDeps, 'kv'>,
  about: Cancelling,
  start: Buffer | undefined,
): Promise<{ cancelled: number; more: boolean; from: Buffer | undefined }> => {
  const { partition, reference, limit, at } = about
  const set = chunksOf(partition, reference)
  let cancelled = 0
  for (let from = start; ; ) {
    const [rows] = await read(kv, [set.range({ ...(from && { from }), limit: CHUNK_PAGE })])
    const keys = rows
      .filter(({ value }) => pointersOf(value).some(({ mask }) => unsentIn(value, mask).some(isQueued)))
      .map(({ key }) => key)
    if (keys.length > 0) {
      const verb = cancelIn({ ...about, limit: limit - cancelled }, keys)
      // A take has rows for a moment of which it gives some back.
      const step = await kv.inTurn(TAKING, () => runOne(kv, partition, at, verb))
      cancelled += step.cancelled
      if (step.more) return { cancelled, more: true, from }
    }
    const last = rows.at(-1)
    if (!last || rows.length < CHUNK_PAGE) return { cancelled, more: false, from: undefined }
    from = Buffer.concat([last.key, Buffer.from([0])])
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Cancellations that are under way. */
const MAX_POSITIONS = 100

export const createCancel = (deps: VerbDeps): Pick<ReceiptsStore, 'cancelQueued'> => {
  const positions = createBoundedMap<Position>(MAX_POSITIONS)
  return {
    async cancelQueued(of, limit, at) {
      const kept = await keptOf(deps, of)
      if (!kept) return { cancelled: 0, more: false }
      const { reference, notification } = kept
      const about = { reference, sentAt: notification.createdAt, at }
      const name = reference.toString('hex')
      const begun = positions.get(name) ?? { nth: 0, from: undefined }
      positions.remove(name)
      let cancelled = 0
      let start = begun.from
      for (const [nth, partition] of PARTITIONS.entries()) {
        if (nth < begun.nth) continue
        const step = await cancelAll(deps, { ...about, partition, limit: limit - cancelled }, start)
        cancelled += step.cancelled
        start = undefined
        if (!step.more) continue
        positions.put(name, { nth, from: step.from })
        return { cancelled, more: true }
      }
      return { cancelled, more: false }
    },
  }
}
