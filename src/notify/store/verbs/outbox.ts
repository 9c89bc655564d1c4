/** Takes what must be sent, and gives it back. */
import type { PlacedVerb, TakenPlace, Verb, Write } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { expiresAtOf, findReceipt, pointersOf, receiptsIn } from '../packed/chunks.ts'
import { packId } from '../packed/ids.ts'
import { chunkIn, referenceIn } from '../packed/line-rows.ts'
import type { OutboxEntry } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import { groupBy, type TakenEntry, type VerbDeps } from './deps.ts'
import { entriesIn, entriesOf } from './find-entries.ts'
import { entryRow, lineIn, pointerRow, splitPointers } from './line.ts'
import { openChunks } from './open-rows.ts'
import { chunksOf, ENTRIES, LINE, PARTITIONS } from './tables.ts'

/** Takes of one process come one after the other, and before what is cancelled: a row may be taken that stands for too much. */
export const TAKING = 'notify-outbox-take'
export const OUTBOX_CHANNEL = 'notify-outbox'

/** An entry that this process has, and what becomes of its lease. */
interface Held {
  id: string
  taken: TakenEntry
}

/** Ends leases, of some receipts of a chunk by a pointer of their own; they are free from `at` on. */
const release = (
  deps: VerbDeps,
  partition: string,
  held: readonly Held[],
  at: number,
) =>
  function* (): Verb<void> {
    const line = lineIn(partition)
    const entries = held.filter(({ taken }) => taken.receipts === undefined)
    const kept = yield* ask(entries.map(({ id }) => ENTRIES.in(partition).get(Buffer.from(id))))
    const writes: Write[] = []
    for (const [nth, { id, taken }] of entries.entries()) {
      const row = kept[nth]?.value
      if (row) writes.push(line.release(entryRow(partition, id, row), taken.until, at))
    }
    const groups = groupBy(
      held.filter(({ taken }) => taken.receipts !== undefined),
      ({ taken }) => taken.receipts ?? '',
    )
    const chunks = yield* openChunks(partition, groups.keys())
    for (const [receipts, own] of groups) {
      const chunk = chunks.get(receipts)?.value
      if (!chunk) continue
      const until = own[0]?.taken.until ?? 0
      const ids = own.map(({ id }) => findReceipt(chunk, packId(id)))
      const mask = receiptsIn(chunk).reduce((sum, { place, bit }) => sum | (ids.includes(place) ? bit : 0), 0)
      const pointers = pointersOf(chunk).filter((pointer) => (pointer.mask & mask) !== 0)
      if (pointers.every((pointer) => (pointer.mask & mask) === pointer.mask)) {
        for (const pointer of pointers)
          writes.push(line.release(pointerRow(partition, receipts, pointer), until, at))
        continue
      }
      // Others of the row are being sent meanwhile.
      const split = splitPointers(deps, { partition, receipts, chunk }, mask, { until: at, isReturned: true })
      writes.push(...split.writes, ...chunkWrites(partition, receipts, split.chunk))
    }
    return { answer: undefined, writes, isRelief: true }
  }

const chunkWrites = (partition: string, receipts: string, chunk: Buffer): Write[] => {
  const set = chunksOf(partition, referenceIn(receipts))
  return [set.put({ key: chunkIn(receipts), value: chunk, expiresAt: expiresAtOf(chunk), keepsEnd: true })]
}

const releaseAll = async (deps: VerbDeps, held: readonly Held[], at: number, now: number): Promise<void> => {
  const verbs: PlacedVerb<void>[] = []
  for (const [partition, own] of groupBy(held, ({ taken }) => taken.partition))
    verbs.push({ partition, verb: release(deps, partition, own, at) })
  if (verbs.length > 0) await deps.kv.run(verbs, now)
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
