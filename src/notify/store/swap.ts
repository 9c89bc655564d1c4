/** Rows that are made once, and replaced only by who has read them: of several processes that try, one succeeds. */
import { isDeepStrictEqual } from 'node:util'
import type { Kv, Write } from '../../storage/kv.ts'
import { read, type TableSet, transact } from '../../storage/table.ts'

/** A row, and what is written with it in the same step. */
interface Place<V> {
  set: TableSet<V>
  /** A cell has none. */
  key?: Buffer
  with?: readonly Write[]
}

/** Writes the row unless it is there; answers the one that was there. The tables have no `ends`. */
export const createOnce = <V>(
  kv: Kv,
  { set, key, with: others = [] }: Place<V>,
  value: V,
): Promise<V | undefined> =>
  transact(kv, 0, async () => {
    const [{ value: kept, isUnchanged }] = await read(kv, [set.get(key)])
    if (kept !== undefined) return { answer: kept }
    const writes = [set.put({ ...(key && { key }), value }), ...others]
    return { answer: undefined, batch: { partition: set.name.partition, checks: [isUnchanged], writes } }
  })

/** Writes what `change` makes of the row; answers false where there is none, or `change` answers undefined. */
export const changeRow = <V>(
  kv: Kv,
  { set, key, with: others = [] }: Place<V>,
  change: (kept: V) => V | undefined,
): Promise<boolean> =>
  transact(kv, 0, async () => {
    const [{ value: kept, isUnchanged }] = await read(kv, [set.get(key)])
    const value = kept === undefined ? undefined : change(kept)
    if (value === undefined) return { answer: false }
    const writes = [set.put({ ...(key && { key }), value }), ...others]
    return { answer: true, batch: { partition: set.name.partition, checks: [isUnchanged], writes } }
  })

/** Replaces the row if it is still `old`, as it was read; answers whether it did. */
export const swapRow = <V>(kv: Kv, place: Place<V>, old: V, next: V): Promise<boolean> =>
  changeRow(kv, place, (kept) => (isDeepStrictEqual(kept, old) ? next : undefined))
