/** All rows of a table of the port in LMDB, and the removal of those that have ended. */
import type { Transaction } from 'lmdb'
import { fromBase64url, toBase64url } from '../../../protocol/bytes.ts'
import { behind, number } from '../../bytes.ts'
import type { PlacedRow, SetName, Table } from '../../kv.ts'
import { removeRow } from './commit.ts'
import { bodyOf, endIn, IS_QUEUE, type KvState, leaseKey, NONE, NUMBER_BYTES, rowsOf } from './rows.ts'

/** Rows of one page. */
const PAGE_ROWS = 500

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

export async function* rows(kv: KvState, table: Table, after?: string, transaction?: Transaction) {
  let start = after === undefined ? NONE : behind(Buffer.from(fromBase64url(after)))
  for (;;) {
    const range = {
      ...(start.length > 0 && { start }),
      limit: PAGE_ROWS,
      ...(transaction && { transaction }),
    }
    const found = [...rowsOf(kv, table).getRange(range)].map((row) => ({ ...row, key: Buffer.from(row.key) }))
    const last = found.at(-1)
    if (!last) return
    yield {
      rows: found.map(
        ({ key: at, value }): PlacedRow => ({
          ...placeOf(table, at),
          value: Buffer.from(bodyOf(table, value)),
          ...(table.shape === 'queue' && { at: value.readDoubleBE(0) }),
        }),
      ),
      cursor: toBase64url(last.key),
    }
    start = behind(last.key)
  }
}

/** Removes the row of an entry of `kv.ends`, where that is its end still; returns the name of its lease. */
const sweepRow = (kv: KvState, entry: Buffer, now: number): string | undefined => {
  const rest = entry.subarray(NUMBER_BYTES)
  const end = rest.indexOf(0)
  const shape = kv.ends.get(entry)?.equals(IS_QUEUE.true) ? 'queue' : 'ordered'
  const table: Table = { name: rest.toString('utf8', 0, end), shape, ends: true, isVolatile: false }
  kv.ends.remove(entry)
  const at = rest.subarray(end + 1)
  const value = rowsOf(kv, table).get(at)
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
