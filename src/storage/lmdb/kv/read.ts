/** Reads of the port in LMDB. */
import type { ReadAnswer, ReadRequest } from '../../kv.ts'
import { bodyOf, boundsOf, type KvState, keyAt, prefixOf, rowsOf, valueAt } from './rows.ts'

export const answer = (kv: KvState, request: ReadRequest): ReadAnswer => {
  const { set } = request
  if (request.kind === 'get') return { kind: 'get', value: valueAt(kv, set, keyAt(set, request.key)) }
  const rows = rowsOf(kv, set.table)
  const { start, end } = boundsOf(set, request.range)
  if (request.kind === 'count') return { kind: 'count', count: rows.getKeysCount({ start, end }) }
  const { limit, isReverse } = request
  const prefixBytes = prefixOf(set).length
  const found: { key: Buffer; value: Buffer }[] = []
  // Backwards LMDB begins with the end, which is in the range then, and leaves out the start.
  const range = isReverse
    ? { start: end, end: start, reverse: true, limit: limit + 1, inclusiveEnd: true }
    : { start, end, limit }
  for (const { key: at, value } of rows.getRange(range)) {
    if (found.length === limit) break
    if (isReverse && (at.compare(end) >= 0 || at.compare(start) < 0)) continue
    found.push({ key: Buffer.from(at.subarray(prefixBytes)), value: bodyOf(set.table, value) })
  }
  return { kind: 'range', rows: found }
}
