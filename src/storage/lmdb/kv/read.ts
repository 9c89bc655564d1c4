/** Reads of the port in LMDB. */
import type { Transaction } from 'lmdb'
import type { ReadAnswer, ReadRequest } from '../../kv.ts'
import { isFree } from './line.ts'
import { bodyOf, boundsOf, type KvState, keyAt, prefixOf, rowsOf, valueAt } from './rows.ts'

/** As of the transaction; without one, as of now. */
export const answer = (kv: KvState, request: ReadRequest, transaction?: Transaction): ReadAnswer => {
  const { set } = request
  const view = transaction && { transaction }
  if (request.kind === 'get') return { kind: 'get', value: valueAt(kv, set, keyAt(set, request.key), view) }
  if (request.kind === 'lease') return { kind: 'lease', isFree: isFree(kv, set, request.row, request.now) }
  const rows = rowsOf(kv, set.table)
  const { start, end } = boundsOf(set, request.range)
  if (request.kind === 'count') return { kind: 'count', count: rows.getKeysCount({ start, end, ...view }) }
  const { limit, isReverse } = request
  const prefixBytes = prefixOf(set).length
  const found: { key: Buffer; value: Buffer }[] = []
  // Backwards LMDB begins with the end, which is in the range then, and leaves out the start.
  const range = isReverse
    ? { start: end, end: start, reverse: true, limit: limit + 1, inclusiveEnd: true }
    : { start, end, limit }
  for (const { key: at, value } of rows.getRange({ ...range, ...view })) {
    if (found.length === limit) break
    if (isReverse && (at.compare(end) >= 0 || at.compare(start) < 0)) continue
    found.push({ key: Buffer.from(at.subarray(prefixBytes)), value: bodyOf(set.table, value) })
  }
  return { kind: 'range', rows: found }
}
