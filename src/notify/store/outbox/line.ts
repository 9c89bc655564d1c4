/** Writes to the outbox: entries, and the pointers that stand for receipts. */
import type { Lease, LineRow, Write } from '../../../storage/kv.ts'
import { ask, type Read } from '../../../storage/table.ts'
import { bitsOf, type Pointer, pointersOf, unsentMask, withPointers } from '../packed/chunks.ts'
import type { ReceiptPlace } from '../packed/line-rows.ts'
import type { OutboxEntry } from '../records.ts'
import { type Steps, type VerbDeps, weighed, withWeight } from '../verbs/deps.ts'
import { ENTRIES, LINE, PARTITIONS } from '../verbs/tables.ts'

/** All is due at once, in the order of its places. */
const DUE = 0

const LINES = new Map(PARTITIONS.map((partition) => [partition, LINE.in(partition)]))
export const lineIn = (partition: string) => {
  const line = LINES.get(partition)
  if (!line) throw new Error('The outbox has a line in each partition')
  return line
}

/** Entries that are not there yet: one whose id is stays as it is. */
export function* newEntries(partition: string, entries: readonly OutboxEntry[]): Steps<OutboxEntry[]> {
  if (entries.length === 0) return []
  const own = ENTRIES.in(partition)
  const found = yield* ask(entries.map(({ id }) => own.get(Buffer.from(id))))
  const ids = new Set<string>()
  return entries.filter(({ id }, nth) => {
    const isNew = !found[nth]?.value && !ids.has(id)
    ids.add(id)
    return isNew
  })
}

/** Of entries that are not there. */
export const entryWrites = (
  partition: string,
  entries: readonly OutboxEntry[],
  placeOf: (entry: OutboxEntry) => number,
): Write[] => {
  const line = lineIn(partition)
  const own = ENTRIES.in(partition)
  return entries.flatMap((entry) => {
    const key = weighed(placeOf(entry), 1)
    return [
      own.put({ key: Buffer.from(entry.id), value: { key, entry } }),
      line.append(line.placed({ at: DUE, key, value: { entryId: entry.id } })),
    ]
  })
}

/** Where the row of an entry is. */
export const entryRow = (partition: string, entryId: string, { key }: { key: Buffer }): LineRow =>
  lineIn(partition).placed({ at: DUE, key, value: { entryId } })

export const pointerRow = (partition: string, receipts: ReceiptPlace, { key, mask }: Pointer): LineRow =>
  lineIn(partition).placed({ at: DUE, key, value: { receipts, mask } })

export const appendPointer = (partition: string, receipts: ReceiptPlace, pointer: Pointer, lease?: Lease) =>
  lineIn(partition).append(pointerRow(partition, receipts, pointer), lease)

export const newPointer = (place: number, createdAt: number, mask: number): Pointer => ({
  ...{ createdAt, mask },
  key: weighed(place, bitsOf(mask)),
})

/** The chunk with pointers that stand for what is unsent of it alone, and the rows of the outbox that follow. */
export const settlePointers = (
  partition: string,
  receipts: ReceiptPlace,
  chunk: Buffer,
): { chunk: Buffer; writes: Write[] } => {
  const unsent = unsentMask(chunk)
  const former = pointersOf(chunk)
  if (former.every(({ mask }) => (mask & unsent) === mask)) return { chunk, writes: [] }
  const line = lineIn(partition)
  const pointers: Pointer[] = []
  const writes: Write[] = []
  for (const pointer of former) {
    const mask = pointer.mask & unsent
    const row = pointerRow(partition, receipts, pointer)
    if (mask === 0) {
      writes.push(line.drop(row))
      continue
    }
    const next = { createdAt: pointer.createdAt, mask, key: withWeight(pointer.key, bitsOf(mask)) }
    pointers.push(next)
    if (mask !== pointer.mask) writes.push(line.replace(row, pointerRow(partition, receipts, next)))
  }
  return { chunk: withPointers(chunk, pointers), writes }
}

/**
 * The chunk with pointers of their own for some of its receipts, with a lease, and the rows of the outbox that follow; `mask`: those
 * receipts. The others keep their place.
 */
export const splitPointers = (
  { nextPlace }: Pick<VerbDeps, 'nextPlace'>,
  { partition, receipts, chunk }: { partition: string; receipts: ReceiptPlace; chunk: Buffer },
  mask: number,
  lease: Lease,
): { chunk: Buffer; writes: Write[] } => {
  const line = lineIn(partition)
  const pointers: Pointer[] = []
  const writes: Write[] = []
  for (const pointer of pointersOf(chunk)) {
    const [taken, rest] = [pointer.mask & mask, pointer.mask & ~mask]
    if (taken === 0) {
      pointers.push(pointer)
      continue
    }
    const row = pointerRow(partition, receipts, pointer)
    const own = newPointer(nextPlace(), pointer.createdAt, taken)
    pointers.push(own)
    writes.push(appendPointer(partition, receipts, own, lease))
    if (rest === 0) writes.push(line.drop(row))
    else {
      const next = { createdAt: pointer.createdAt, mask: rest, key: withWeight(pointer.key, bitsOf(rest)) }
      pointers.push(next)
      writes.push(line.replace(row, pointerRow(partition, receipts, next)))
    }
  }
  return { chunk: withPointers(chunk, pointers), writes }
}

/** Whether nobody has each of the pointers at `now`. */
export const freePointers = (
  partition: string,
  receipts: ReceiptPlace,
  pointers: readonly Pointer[],
  now: number,
): Read<boolean>[] =>
  pointers.map((pointer) => lineIn(partition).isFree(pointerRow(partition, receipts, pointer), now))
