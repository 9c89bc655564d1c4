/**
 * What a store holds, in a few numbers: for each table how many records, and the sum of their hashes. The sum does not
 * depend on the order in which they are read, so two engines that hold the same say the same.
 */
import { createHash } from 'node:crypto'
import { type Readers, type Records, TABLE_NAMES, type TableName } from './transfer.ts'

export interface Sum {
  count: number
  /** Modulo 2^128. */
  hash: bigint
}
export type Tally = Map<TableName, Sum>

const MODULUS = 1n << 128n
const EMPTY_SUM: Sum = { count: 0, hash: 0n }
export const sumOf = (tally: Tally, table: TableName): Sum => tally.get(table) ?? EMPTY_SUM

/** JSON in which properties stand in one order, and those that are undefined do not stand at all. */
const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const parts = Object.entries(value)
    .filter(([, one]) => one !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`)
  return `{${parts.join(',')}}`
}

/** Counts the record; with -1 takes it away again. */
export const addTo = <T extends TableName>(
  tally: Tally,
  table: T,
  record: Records[T],
  times: 1 | -1 = 1,
): void => {
  // Places in the outbox are the engine's own.
  const content = 'entry' in record ? record.entry : record
  const hash = createHash('sha256').update(canonical(content)).digest('hex').slice(0, 32)
  const sum = sumOf(tally, table)
  tally.set(table, {
    count: sum.count + times,
    hash: (sum.hash + BigInt(times) * BigInt(`0x${hash}`) + MODULUS) % MODULUS,
  })
}

/** Reads everything that does not expire before `now`. */
export const tallyOf = async (
  readers: Readers,
  now: number,
  onPage: (table: TableName, records: number) => void = () => {},
): Promise<Tally> => {
  const tally: Tally = new Map()
  const addAll = async <T extends TableName>(table: T): Promise<void> => {
    for await (const { records } of readers[table].read({ now })) {
      for (const record of records) addTo(tally, table, record)
      onPage(table, records.length)
    }
  }
  for (const table of TABLE_NAMES) await addAll(table)
  return tally
}

/** A sentence's end for each table in which they differ. */
export const differencesOf = (expected: Tally, found: Tally): string[] =>
  TABLE_NAMES.flatMap((table) => {
    const [a, b] = [sumOf(expected, table), sumOf(found, table)]
    if (a.hash === b.hash && a.count === b.count) return []
    return [a.count === b.count ? `${table}: other content` : `${table}: ${b.count} instead of ${a.count}`]
  })

export const countOf = (tally: Tally): number =>
  TABLE_NAMES.reduce((all, table) => all + sumOf(tally, table).count, 0)
