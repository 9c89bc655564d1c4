/** All rows of a table of the port in LMDB, and the removal of those that have ended. */
import type { Transaction } from 'lmdb'
import { MIB_BYTES } from '../../../platform/units.ts'
import { fromBase64url, toBase64url } from '../../../protocol/bytes.ts'
import { behind, number } from '../../bytes.ts'
import { ifWhole } from '../../damaged-row.ts'
import type { PlacedRow, SetName, Table } from '../../kv.ts'
import type { Bytes } from '../checked-rows.ts'
import { removeRow } from './commit.ts'
import { bodyOf, endIn, IS_QUEUE, type KvState, leaseKey, NONE, NUMBER_BYTES, rowsOf } from './rows.ts'

/** Rows of one page, and about the bytes after which it ends early. */
const PAGE_ROWS = 500
const PAGE_BYTES = 4 * MIB_BYTES

/** What the key of a row says. */
const placeOf = (table: Table, at: Buffer): { set: SetName; key: Buffer } => {
  const first = at.indexOf(0)
  const second = at.indexOf(0, first + 1)
  const subject = at.toString('utf8', first + 1, second)
  return {
    set: { table, partition: at.toString('utf8', 0, first), subject },
    key: Buffer.from(at.subarray(second + 1)),
  }
}

/** Rows behind a key, as many as make a page. */
const pageBehind = (
  rows: Bytes,
  start: Buffer,
  transaction?: Transaction,
): { key: Buffer; value: Buffer }[] => {
  const range = { ...(start.length > 0 && { start }), ...(transaction && { transaction }), limit: PAGE_ROWS }
  const found: { key: Buffer; value: Buffer }[] = []
  let bytes = 0
  for (const { key, value } of rows.getRange(range)) {
    found.push({ key: Buffer.from(key), value: Buffer.from(value) })
    bytes += value.length
    if (bytes > PAGE_BYTES) break
  }
  return found
}

export async function* rows(kv: KvState, table: Table, after?: string, transaction?: Transaction) {
  let start = after === undefined ? NONE : behind(Buffer.from(fromBase64url(after)))
  for (;;) {
    const found = pageBehind(rowsOf(kv, table), start, transaction)
    const last = found.at(-1)
    if (!last) return
    yield {
      rows: found.map(
        ({ key: at, value }): PlacedRow => ({
          ...placeOf(table, at),
          value: bodyOf(table, value),
          ...(table.shape === 'queue' && { at: value.readDoubleBE(0) }),
        }),
      ),
      cursor: toBase64url(last.key),
    }
    start = behind(last.key)
    // The others, too, want to run.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Removes the row of an entry of `kv.ends`, where that is its end still; returns the name of its lease. */
const sweepRow = (kv: KvState, entry: Buffer, now: number): string | undefined => {
  const rest = entry.subarray(NUMBER_BYTES)
  const end = rest.indexOf(0)
  const shape = ifWhole(() => kv.ends.get(entry))?.equals(IS_QUEUE.true) ? 'queue' : 'ordered'
  const table: Table = { name: rest.toString('utf8', 0, end), shape, ends: true, isVolatile: false }
  kv.ends.remove(entry)
  const at = rest.subarray(end + 1)
  const value = ifWhole(() => rowsOf(kv, table).get(at))
  if (!value || endIn(table, value) > now) return undefined
  const { set, key: id } = placeOf(table, at)
  removeRow(kv, set, id)
  return leaseKey(set, at)
}

export const sweep = async (kv: KvState, now: number, limit: number): Promise<number> => {
  const over = [...kv.ends.getKeys({ end: number(now + 1), limit })].map((at) => Buffer.from(at))
  if (over.length === 0) return 0
  const leases = await kv.env.transaction(() => over.map((entry) => sweepRow(kv, entry, now)))
  for (const lease of leases) if (lease !== undefined) kv.leases.delete(lease)
  return over.length
}
