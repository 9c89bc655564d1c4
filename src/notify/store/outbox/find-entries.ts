/** Where entries of the outbox are that were not taken here: by another process, or by nobody. */
import type { Kv, PlacedRow } from '../../../storage/kv.ts'
import { read } from '../../../storage/table.ts'
import { findReceipt } from '../packed/chunks.ts'
import { packIdOrNone } from '../packed/ids.ts'
import { chunkIn, type ReceiptPlace, receiptPlaceOf, referenceIn } from '../packed/line-rows.ts'
import type { OutboxOutcome } from '../receipts.ts'
import type { OutboxEntry } from '../records.ts'
import type { TakenEntry, VerbDeps } from '../verbs/deps.ts'
import { MAX_CHUNKS } from '../verbs/receipt-chunks.ts'
import { chunksOf, ENTRIES, LINE, PARTITIONS, partitionOf, referenceOf } from '../verbs/tables.ts'
import { entriesIn as entriesInChunk } from './expand.ts'

/** Nobody has it: it may be returned to nobody. */
const NOT_TAKEN = 0

const findReceiptOf = async (
  kv: Pick<Kv, 'read'>,
  copyId: string,
  { of, accountKey }: OutboxOutcome,
): Promise<TakenEntry | undefined> => {
  const partition = partitionOf(accountKey)
  const reference = referenceOf(of)
  const id = packIdOrNone(copyId)
  if (!id) return undefined
  const [chunks] = await read(kv, [chunksOf(partition, reference).range({ limit: MAX_CHUNKS })])
  const chunk = chunks.findLast(({ value }) => findReceipt(value, id) >= 0)
  return chunk && { partition, receipts: receiptPlaceOf(reference, chunk.key), until: NOT_TAKEN }
}

/** What a row of the line stands for, and where that is. */
export interface FoundEntry extends TakenEntry {
  place: Buffer
  entry: OutboxEntry
}

/** Rows of the line as entries. */
export const entriesOf = async (
  kv: Pick<Kv, 'read'>,
  rows: readonly Pick<PlacedRow, 'set' | 'key' | 'value'>[],
): Promise<FoundEntry[]> => {
  const values = rows.map((row) => LINE.valueOf(row))
  const ids: { nth: number; id: string }[] = []
  const places: { nth: number; receipts: ReceiptPlace; mask: number }[] = []
  for (const [nth, value] of values.entries()) {
    if ('entryId' in value) ids.push({ nth, id: value.entryId })
    else places.push({ nth, ...value })
  }
  const partitionAt = (nth: number) => rows[nth]?.set.partition ?? ''
  const found = await read(kv, [
    ...ids.map(({ nth, id }) => ENTRIES.in(partitionAt(nth)).get(Buffer.from(id))),
  ])
  const chunks = await read(kv, [
    ...places.map(({ nth, receipts }) =>
      chunksOf(partitionAt(nth), referenceIn(receipts)).get(chunkIn(receipts)),
    ),
  ])
  const all: FoundEntry[][] = rows.map(() => [])
  for (const [at, { nth }] of ids.entries()) {
    const kept = found[at]?.value
    const place = rows[nth]?.key
    const about = { partition: partitionAt(nth), receipts: undefined, until: NOT_TAKEN }
    if (kept && place) all[nth]?.push({ ...about, place, entry: kept.entry })
  }
  for (const [at, { nth, receipts, mask }] of places.entries()) {
    const chunk = chunks[at]?.value
    const place = rows[nth]?.key
    if (!chunk || !place) continue
    const about = { partition: partitionAt(nth), receipts, until: NOT_TAKEN }
    for (const entry of entriesInChunk(chunk, mask)) all[nth]?.push({ ...about, place, entry })
  }
  return all.flat()
}

/** Entries of partitions, leased ones included. */
export async function* entriesIn(
  kv: Pick<Kv, 'read' | 'rows'>,
  partitions: readonly string[],
): AsyncGenerator<FoundEntry[]> {
  for await (const { rows } of kv.rows(LINE.table, undefined, partitions))
    yield entriesOf(
      kv,
      rows.filter(({ set }) => partitions.includes(set.partition)),
    )
}

/** Entries that are not known, by their ids. */
export const findEntries = async (
  { kv }: Pick<VerbDeps, 'kv'>,
  wanted: ReadonlyMap<string, OutboxOutcome | undefined>,
): Promise<Map<string, TakenEntry>> => {
  const found = new Map<string, TakenEntry>()
  const ids = [...wanted.keys()]
  const answers = await read(
    kv,
    ids.flatMap((id) => PARTITIONS.map((partition) => ENTRIES.in(partition).get(Buffer.from(id)))),
  )
  for (const [nth, id] of ids.entries()) {
    const at = PARTITIONS.findIndex((_, p) => answers[nth * PARTITIONS.length + p]?.value)
    const partition = PARTITIONS[at]
    if (partition !== undefined) found.set(id, { partition, receipts: undefined, until: NOT_TAKEN })
  }
  const missing = new Set(ids.filter((id) => !found.has(id)))
  for (const id of missing) {
    const outcome = wanted.get(id)
    const taken = outcome && (await findReceiptOf(kv, id, outcome))
    if (taken) found.set(id, taken)
    if (outcome) missing.delete(id)
  }
  if (missing.size === 0) return found
  // Nothing says whose they are.
  for await (const some of entriesIn(kv, PARTITIONS)) {
    for (const { entry, ...taken } of some) {
      if (!missing.delete(entry.id)) continue
      found.set(entry.id, taken)
    }
    if (missing.size === 0) break
  }
  return found
}
