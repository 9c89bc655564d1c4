/** All rows of a table of the port in Redis, by SCAN. */
import { Cluster, type Redis } from 'ioredis'
import type { PlacedRow, RawRow, RowPage, SetName, Table } from '../../kv.ts'
import type { RedisConnection } from '../connection.ts'
import { KEY_BYTES } from './line.ts'
import { keyOf, keysOf, NONE, partitionOf, rowOfMember, valueIn } from './rows.ts'

const SCAN_COUNT = 1_000

/** What a key of a set names; undefined for the key of an order, or of another table. */
const placeOf = (prefix: string, table: Table, key: string): SetName | undefined => {
  const end = key.indexOf('}', prefix.length)
  const mark = `${table.name}:`
  if (!key.startsWith(`${prefix}{`) || !key.startsWith(mark, end + 1)) return undefined
  const partition = partitionOf(key.slice(prefix.length + 1, end))
  return { table, partition, subject: key.slice(end + 1 + mark.length) }
}

const pairsOf = (flat: readonly Buffer[]): [Buffer, Buffer][] =>
  Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at] ?? NONE, flat[2 * at + 1] ?? NONE])

/** The row of what a scan gives in pairs: key and value, or member and score. */
const rowFound = (table: Table, name: Buffer, value: Buffer): RawRow => {
  if (table.shape === 'ordered') return rowOfMember(name)
  if (table.shape === 'line') return { key: name.subarray(0, KEY_BYTES), value: name.subarray(KEY_BYTES) }
  return { key: name, value: table.shape === 'index' ? NONE : (valueIn(table, value) ?? NONE) }
}

/** Pages of one set that is no cell. */
async function* rowsOfSet(redis: RedisConnection, set: SetName): AsyncIterable<PlacedRow[]> {
  const { client, prefix } = redis
  const [at = '', order = ''] = keysOf(prefix, set)
  const { shape } = set.table
  let cursor = '0'
  do {
    const [next, flat] = await redis.one(() =>
      shape === 'index' || shape === 'ordered' || shape === 'line'
        ? client.zscanBuffer(at, cursor, 'COUNT', SCAN_COUNT)
        : client.hscanBuffer(at, cursor, 'COUNT', SCAN_COUNT),
    )
    cursor = next.toString()
    const found = pairsOf(flat)
    const dues =
      shape === 'queue' && found.length > 0
        ? await redis.one(() => client.zmscore(order, ...found.map(([key]) => key)))
        : []
    yield found.map(([name, value], nth) => ({
      set,
      ...rowFound(set.table, name, value),
      ...(shape === 'queue' && { at: Number(dues[nth] ?? 0) }),
    }))
  } while (cursor !== '0')
}

/** What a pattern of `SCAN` takes for itself. */
const escaped = (text: string): string => text.replace(/[\\*?[\]]/g, '\\$&')

/** Names of the sets of a table, as a scan finds them. */
async function* setsOf(redis: RedisConnection, table: Table): AsyncIterable<SetName[]> {
  const { client, prefix } = redis
  // A cluster knows its nodes only when it has spoken to one.
  await redis.one(() => client.exists(`${prefix}{ping}`))
  const nodes: Redis[] = client instanceof Cluster ? client.nodes('master') : [client]
  const pattern = `${escaped(prefix)}{*}${escaped(table.name)}:*`
  for (const node of nodes) {
    let cursor = '0'
    do {
      const [next, keys] = await redis.one(() => node.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT))
      cursor = next
      yield keys.flatMap((key) => placeOf(prefix, table, key) ?? [])
    } while (cursor !== '0')
  }
}

/** Cells are read together: each is a set of its own. */
const cellsOf = async (redis: RedisConnection, sets: readonly SetName[]): Promise<PlacedRow[]> => {
  const values = await redis.batch(() => sets.map((set) => redis.client.getBuffer(keyOf(redis.prefix, set))))
  return sets.flatMap((set, at): PlacedRow[] => {
    const value = values[at]
    return value ? [{ set, key: NONE, value }] : []
  })
}

/** A line is one set in each of its partitions. */
async function* linesIn(table: Table, partitions: readonly string[]): AsyncIterable<SetName[]> {
  yield partitions.map((partition) => ({ table, partition, subject: '' }))
}

export async function* rows(
  redis: RedisConnection,
  table: Table,
  partitions?: readonly string[],
): AsyncIterable<RowPage> {
  const all = table.shape === 'line' && partitions ? linesIn(table, partitions) : setsOf(redis, table)
  for await (const sets of all) {
    if (table.shape === 'cell') yield { rows: await cellsOf(redis, sets), cursor: undefined }
    else
      for (const set of sets)
        for await (const found of rowsOfSet(redis, set)) yield { rows: found, cursor: undefined }
  }
}
