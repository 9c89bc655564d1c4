/** Commits of the port in LMDB: batches within one transaction. */
import { invariant } from '../../../platform/invariant.ts'
import { key, named, number } from '../../bytes.ts'
import type { Batch, Check, Outcome, SetName, Write } from '../../kv.ts'
import { PRESENT } from '../bytes.ts'
import {
  bodyOf,
  boundsOf,
  dueKey,
  dueOf,
  IS_QUEUE,
  type KvState,
  keyAt,
  leaseKey,
  NONE,
  NUMBER_BYTES,
  prefixOf,
  rowsOf,
  valueAt,
} from './rows.ts'

const findingOf = (kv: KvState, check: Check, at: Buffer): { holds: boolean; found?: Buffer | undefined } => {
  const { set } = check
  const found = valueAt(kv, set, at)
  if (check.kind === 'is') return { holds: found?.equals(check.value) ?? false, found }
  return { holds: (found === undefined) === (check.kind === 'absent'), found }
}

const enterEnd = (kv: KvState, { table }: SetName, at: Buffer, expiresAt: number) => {
  kv.ends.put(key(number(expiresAt), named(table.name, at)), IS_QUEUE[`${table.shape === 'queue'}`])
}

const writeRow = (
  kv: KvState,
  set: SetName,
  { at, value, expiresAt }: { at: Buffer; value: Buffer; expiresAt: number | undefined },
): void => {
  const { table } = set
  if (table.shape === 'index') value = PRESENT
  rowsOf(kv, table).put(at, expiresAt === undefined ? value : key(number(expiresAt), value))
  if (expiresAt !== undefined) enterEnd(kv, set, at, expiresAt)
}

const writeQueued = (
  kv: KvState,
  set: SetName,
  {
    at,
    id,
    due,
    value,
    expiresAt,
  }: { at: Buffer; id: Buffer; due: number; value: Buffer; expiresAt: number },
): void => {
  rowsOf(kv, set.table).put(at, key(number(due), number(expiresAt), value))
  dueOf(kv, set.table).put(dueKey(set, due, id), PRESENT)
}

/** Answers 1 if it was there. */
export const removeRow = (kv: KvState, set: SetName, id: Buffer): number => {
  const at = keyAt(set, id)
  const rows = rowsOf(kv, set.table)
  const value = rows.get(at)
  if (!value) return 0
  rows.remove(at)
  if (set.table.shape === 'queue') dueOf(kv, set.table).remove(dueKey(set, value.readDoubleBE(0), id))
  return 1
}

const clearSet = (kv: KvState, set: SetName): number => {
  const prefixBytes = prefixOf(set).length
  const all = [...rowsOf(kv, set.table).getKeys(boundsOf(set, {}))]
  for (const at of all) removeRow(kv, set, Buffer.from(at.subarray(prefixBytes)))
  return all.length > 0 ? 1 : 0
}

const write = (kv: KvState, one: Write, at: Buffer): number => {
  const { set } = one
  if (set.table.isVolatile) return kv.volatile.write(one)
  if (one.kind === 'remove') return removeRow(kv, set, one.key)
  if (one.kind === 'clear') return clearSet(kv, set)
  if (one.kind === 'put' || one.kind === 'create') {
    if (one.kind === 'create' && rowsOf(kv, set.table).get(at)) return 0
    writeRow(kv, set, { at, value: one.value, expiresAt: one.expiresAt })
    return 1
  }
  const former = rowsOf(kv, set.table).get(at)
  if (one.kind === 'enqueue') {
    if (former) return 0
    const { id, at: due, value, expiresAt = 0 } = one
    writeQueued(kv, set, { at, id, due, value, expiresAt })
    if (set.table.ends) enterEnd(kv, set, at, expiresAt)
    return 1
  }
  if (!former) return 0
  dueOf(kv, set.table).remove(dueKey(set, former.readDoubleBE(0), one.id))
  const value = one.value ?? bodyOf(set.table, former)
  const expiresAt = former.readDoubleBE(NUMBER_BYTES)
  writeQueued(kv, set, { at, id: one.id, due: one.at, value, expiresAt })
  return 1
}

/** A batch, and where the rows of its checks and then of its writes are. */
interface PlacedBatch {
  batch: Batch
  places: readonly Buffer[]
}

const apply = (kv: KvState, { batch: { checks = [], writes }, places }: PlacedBatch): Outcome => {
  for (const [failed, check] of checks.entries()) {
    const { holds, found } = findingOf(kv, check, places[failed] ?? NONE)
    if (!holds) return { isDone: false, failed, found }
  }
  return {
    isDone: true,
    results: writes.map((one, nth) => write(kv, one, places[checks.length + nth] ?? NONE)),
  }
}

/** Before the transaction begins: what throws within it is not rolled back. */
const placed = (batch: Batch): PlacedBatch => {
  const { partition, checks = [], writes } = batch
  const place = (one: Check | Write): Buffer => {
    invariant(one.set.partition === partition, 'a batch keeps to its partition')
    if (('expiresAt' in one && one.expiresAt !== undefined) !== one.set.table.ends && isPlacing(one))
      throw new Error(`A row of ${one.set.table.name} has an end where its table has none, or the reverse`)
    return keyAt(one.set, 'id' in one ? one.id : 'key' in one ? one.key : NONE)
  }
  return { batch, places: [...checks.map(place), ...writes.map(place)] }
}
const isPlacing = ({ kind }: Check | Write) => kind === 'put' || kind === 'create' || kind === 'enqueue'

/**
 * The leases that end with these writes, as they are before the commit. A row that is due again is seen before `commit`
 * goes on, and may be leased anew by then: that lease stays.
 */
const leasesOf = (kv: KvState, { writes }: Batch) =>
  writes.flatMap((one) => {
    if (one.set.table.shape !== 'queue' || one.kind === 'clear' || one.kind === 'enqueue') return []
    const name = leaseKey(one.set, keyAt(one.set, 'id' in one ? one.id : one.key))
    return [{ name, isGone: one.kind === 'remove', until: kv.leases.get(name) }]
  })

const releaseLeases = (
  kv: KvState,
  held: readonly ReturnType<typeof leasesOf>[],
  outcomes: readonly Outcome[],
) => {
  for (const [at, leases] of held.entries()) {
    if (!outcomes[at]?.isDone) continue
    for (const { name, isGone, until } of leases)
      if (isGone || kv.leases.get(name) === until) kv.leases.delete(name)
  }
}

export const commit = async (kv: KvState, batches: readonly Batch[], now: number): Promise<Outcome[]> => {
  const all = batches.map(placed)
  if (batches.every(({ writes }) => writes.every(({ set }) => set.table.isVolatile))) {
    kv.volatile.forget(now)
    return all.map((batch) => apply(kv, batch))
  }
  const held = batches.map((batch) => leasesOf(kv, batch))
  const outcomes = await kv.env.transaction(() => all.map((batch) => apply(kv, batch)))
  // Only after the commit: until then a take still sees the row where it was, and must not find it free.
  releaseLeases(kv, held, outcomes)
  return outcomes
}
