/**
 * The records of a store, and which of two records of one key wins.
 *
 * The later record wins: the one with the higher JSON-RPC id, and of two with one id the one with the greater text. A
 * deletion is the smallest text. So replicas that have read the same records, in any order and repeatedly, hold the same.
 */
import { invariant } from '../platform/invariant.ts'

export interface SyncRecord {
  /** JSON-RPC id: microseconds, of which the last three digits are random. */
  id: number
  /** Null: deleted. A deletion is stored, because an older record may come later. */
  value: string | null
}

export class StoreState {
  readonly records = new Map<string, SyncRecord>()
  /** The highest id of all records. */
  highest = 0
  /** Keys with a value. */
  size = 0

  value(key: string): string | undefined {
    return this.records.get(key)?.value ?? undefined
  }

  /** False where the key has that record, or a later one. */
  apply(key: string, record: SyncRecord): boolean {
    const known = this.records.get(key)
    if (known && !isLater(record, known)) return false
    this.size += Number(record.value !== null) - Number(known !== undefined && known.value !== null)
    invariant(this.size >= 0, 'a store never has fewer than no values')
    this.records.set(key, record)
    this.highest = Math.max(this.highest, record.id)
    return true
  }

  *entries(): IterableIterator<[key: string, value: string]> {
    for (const [key, { value }] of this.records) if (value !== null) yield [key, value]
  }

  /** The same bytes for the same records. */
  export(): string {
    const rows = [...this.records].map(([key, { id, value }]) => [key, id, value] as const)
    rows.sort(([a], [b]) => (a < b ? -1 : 1))
    return JSON.stringify(rows)
  }
}

const isLater = (a: SyncRecord, b: SyncRecord): boolean => {
  if (a.id !== b.id || a.value === b.value) return a.id > b.id
  return b.value === null || (a.value !== null && a.value > b.value)
}
