/** Rows of a map, in the order of a list that has their keys. */
import { behind, name } from '../../storage/bytes.ts'
import type { Kv } from '../../storage/kv.ts'
import { read, type TableSet } from '../../storage/table.ts'

/** A page behind the key `after`. A key whose row is gone meanwhile is left out. */
export const listedRows = async <V>(
  kv: Pick<Kv, 'read'>,
  { list, rows }: { list: TableSet<true>; rows: TableSet<V> },
  { after, limit }: { after?: string; limit: number },
): Promise<V[]> => {
  const from = after === undefined ? {} : { from: behind(name(after)) }
  const [keys] = await read(kv, [list.keys({ ...from, limit })])
  const found = await read(
    kv,
    keys.map((key) => rows.get(key)),
  )
  return found.flatMap(({ value }) => value ?? [])
}
