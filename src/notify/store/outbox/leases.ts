/** Takes what must be sent, and gives it back. */
import type { HeldPlace, PlacedVerb, TakenPlace, Verb } from '../../../storage/kv.ts'
import { read } from '../../../storage/table.ts'
import { expiresAtOf, findReceipt, pointersOf, receiptsIn } from '../packed/chunks.ts'
import { packId } from '../packed/ids.ts'
import { chunkIn, type ReceiptPlace, referenceIn } from '../packed/line-rows.ts'
import type { OutboxEntry } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import { groupBy, type TakenEntry, type VerbDeps } from '../verbs/deps.ts'
import { openChunks } from '../verbs/open-rows.ts'
import { chunksOf, ENTRIES, LINE, PARTITIONS } from '../verbs/tables.ts'
import { entriesIn, entriesOf } from './find-entries.ts'
import { entryRow, lineIn, pointerRow, splitPointers } from './line.ts'

/** Takes of one process come one after the other, and before what is cancelled: a row may be taken that stands for too much. */
export const TAKING = 'notify-outbox-take'
export const OUTBOX_CHANNEL = 'notify-outbox'

/** An entry that this process has, and what becomes of its lease. */
interface Held {
  id: string
  taken: TakenEntry
}

/** Of a chunk some receipts: the row of the outbox stands for others, too, which are being sent meanwhile. */
interface HeldReceipts {
  partition: string
  receipts: ReceiptPlace
  ids: readonly string[]
}

const maskOf = (chunk: Buffer, ids: readonly string[]): number => {
  const wanted = new Set(ids.map((id) => findReceipt(chunk, packId(id))))
  return receiptsIn(chunk).reduce((mask, { place, bit }) => mask | (wanted.has(place) ? bit : 0), 0)
}

/** Gives receipts a row of the outbox of their own, which is free from `at` on. */
const splitVerb = (deps: VerbDeps, { partition, receipts, ids }: HeldReceipts, at: number) =>
  function* (): Verb<void> {
    const chunk = (yield* openChunks(partition, [receipts])).get(receipts)?.value
    if (!chunk) return { answer: undefined, writes: [] }
    const lease = { until: at, isReturned: true }
    const split = splitPointers(deps, { partition, receipts, chunk }, maskOf(chunk, ids), lease)
    const set = chunksOf(partition, referenceIn(receipts))
    const row = { key: chunkIn(receipts), value: split.chunk, expiresAt: expiresAtOf(chunk), keepsEnd: true }
    return { answer: undefined, writes: [...split.writes, set.put(row)], isRelief: true }
  }

/** Rows whose entries all are returned, and receipts of the others. */
const sortHeld = async (
  { kv }: Pick<VerbDeps, 'kv'>,
  held: readonly Held[],
): Promise<{ whole: HeldPlace[]; parts: HeldReceipts[] }> => {
  const whole: HeldPlace[] = []
  const parts: HeldReceipts[] = []
  const entries = held.filter(({ taken }) => taken.receipts === undefined)
  const kept = await read(
    kv,
    entries.map(({ id, taken }) => ENTRIES.in(taken.partition).get(Buffer.from(id))),
  )
  for (const [nth, { id, taken }] of entries.entries()) {
    const found = kept[nth]?.value
    const { partition, until: heldUntil } = taken
    if (found) whole.push({ set: lineIn(partition).name, row: entryRow(partition, id, found), heldUntil })
  }
  const copies = held.filter(({ taken }) => taken.receipts !== undefined)
  const groups = [...groupBy(copies, ({ taken }) => `${taken.partition} ${taken.receipts}`).values()]
  const places = groups.map(([first]) => ({
    partition: first?.taken.partition ?? '',
    receipts: first?.taken.receipts ?? '',
    heldUntil: first?.taken.until ?? 0,
  }))
  const chunks = await read(
    kv,
    places.map(({ partition, receipts }) =>
      chunksOf(partition, referenceIn(receipts)).get(chunkIn(receipts)),
    ),
  )
  for (const [nth, { partition, receipts, heldUntil }] of places.entries()) {
    const chunk = chunks[nth]?.value
    if (!chunk) continue
    const ids = groups[nth]?.map(({ id }) => id) ?? []
    const mask = maskOf(chunk, ids)
    const pointers = pointersOf(chunk).filter((pointer) => (pointer.mask & mask) !== 0)
    if (pointers.some((pointer) => (pointer.mask & mask) !== pointer.mask))
      parts.push({ partition, receipts, ids })
    else
      for (const pointer of pointers)
        whole.push({ set: lineIn(partition).name, row: pointerRow(partition, receipts, pointer), heldUntil })
  }
  return { whole, parts }
}

/** Ends leases; the entries are free from `at` on. */
const releaseAll = async (deps: VerbDeps, held: readonly Held[], at: number, now: number): Promise<void> => {
  if (held.length === 0) return
  const { whole, parts } = await sortHeld(deps, held)
  const verbs = parts.map(
    (one): PlacedVerb<void> => ({ partition: one.partition, verb: splitVerb(deps, one, at) }),
  )
  const work: Promise<unknown>[] = []
  if (whole.length > 0) work.push(deps.kv.releasePlaces(whole, at))
  if (verbs.length > 0) work.push(deps.kv.run(verbs, now))
  await Promise.all(work)
}

/** A row that stands for nothing any more: what it stood for has expired, or was forgotten. */
const dropEmpty = async (deps: VerbDeps, places: readonly TakenPlace[], now: number): Promise<void> => {
  const verbs = [...groupBy(places, ({ partition }) => partition)].map(
    ([partition, own]): PlacedVerb<void> => ({
      partition,
      verb: function* () {
        yield []
        const line = lineIn(partition)
        // Where it is does not matter to whoever names it by its key.
        const writes = own.map(({ key, value, at }) => line.drop({ at, key, value }))
        return { answer: undefined, writes, isRelief: true }
      },
    }),
  )
  if (verbs.length > 0) await deps.kv.run(verbs, now)
}

const rowOf = ({ partition, key, value }: TakenPlace) => ({ set: LINE.in(partition).name, key, value })

/** Takes, and gives back what is too much: entries of a row of which not all were wanted. */
const take = async (
  deps: VerbDeps,
  lease: { limit: number; now: number; until: number },
): Promise<OutboxEntry[]> => {
  const places = await deps.kv.takePlaces({ table: LINE.table, partitions: PARTITIONS }, lease)
  if (places.length === 0) return []
  const found = await entriesOf(deps.kv, places.map(rowOf))
  for (const one of found) one.until = lease.until
  const full = new Set(found.map(({ partition, place }) => `${partition} ${place.toString('latin1')}`))
  const empty = places.filter(({ partition, key }) => !full.has(`${partition} ${key.toString('latin1')}`))
  await dropEmpty(deps, empty, lease.now)
  const spare = found.splice(lease.limit)
  const { limit: _, now } = lease
  await releaseAll(
    deps,
    spare.map((one) => ({ id: one.entry.id, taken: one })),
    now,
    now,
  )
  return found.map(({ entry, partition, receipts, until }) => {
    deps.taken.put(entry.id, { partition, receipts, until })
    return entry
  })
}

type Outbox = Pick<NotifyStore, 'takeOutbox' | 'returnOutbox' | 'outboxSize' | 'onOutbox' | 'outboxOf'>

export const createOutbox = (deps: VerbDeps): Outbox => {
  const { kv, taken, clock } = deps
  return {
    takeOutbox: ({ limit, now, until }) => kv.inTurn(TAKING, () => take(deps, { limit, now, until })),

    async returnOutbox(ids, at) {
      const held = ids.flatMap((id): Held[] => {
        const one = taken.get(id)
        return one ? [{ id, taken: one }] : []
      })
      await releaseAll(deps, held, at, clock.now())
    },

    outboxSize: () => kv.weigh({ table: LINE.table, partitions: PARTITIONS }),

    onOutbox: (listener) => kv.listen([OUTBOX_CHANNEL], () => listener()),

    // There is no index by account: an operator asks, and rarely.
    async *outboxOf() {
      for await (const found of entriesIn(kv, PARTITIONS)) {
        for (const { entry, partition, receipts, until } of found) {
          // Whoever asks may complete it.
          if (!taken.get(entry.id)) taken.put(entry.id, { partition, receipts, until })
          yield entry
        }
      }
    },
  }
}
