/**
 * Lines of the port in LMDB: `<table>` is the order of all partitions: when a row is due, its key, its partition.
 *
 * Leases are in memory, as those of queues are. A take goes on where the last one ended: `position` is how far rows have
 * been taken at all, `held` are the taken ones that are not dropped, each with the time from which it is free again. Those
 * return through two heaps, so a take costs what it takes, however many wait or are held.
 */
import type { Kv, Table, TakenPlace, Write } from '../../kv.ts'
import { createHeap, type Heap } from '../heap.ts'
import { type KvState, NUMBER_BYTES, rowsOf } from './rows.ts'

const PARTITION_AT = 2 * NUMBER_BYTES

export interface Line {
  position: Buffer | undefined
  held: Map<string, number>
  /** Dropped by transactions that are not committed yet. */
  leaving: Set<string>
  waiting: Heap<{ name: string; freeAt: number }>
  free: Heap<string>
}

const newLine = (): Line => ({
  position: undefined,
  held: new Map(),
  leaving: new Set(),
  waiting: createHeap((a, b) => a.freeAt < b.freeAt),
  free: createHeap((a, b) => a < b),
})

export const lineOf = (kv: KvState, table: Table): Line => {
  const known = kv.lines.get(table.name)
  if (known) return known
  const line = newLine()
  kv.lines.set(table.name, line)
  return line
}

export type LineWrite = Extract<Write, { kind: 'append' | 'drop' }>

export const placeInLine = (one: LineWrite): Buffer => {
  if (one.kind === 'drop') return typeof one.handle === 'string' ? placeNamed(one.handle) : one.handle
  const { set, at, key } = one
  if (key.length !== NUMBER_BYTES || set.subject !== '')
    throw new Error('A line is one set with keys of 8 bytes')
  const place = Buffer.allocUnsafe(PARTITION_AT + Buffer.byteLength(set.partition))
  place.writeDoubleBE(at, 0)
  place.set(key, NUMBER_BYTES)
  place.write(set.partition, PARTITION_AT)
  return place
}

const nameOf = (place: Buffer): string => place.toString('latin1')
const placeNamed = (name: string): Buffer => Buffer.from(name, 'latin1')

export const writeInLine = (kv: KvState, one: LineWrite, place: Buffer): void => {
  const rows = rowsOf(kv, one.set.table)
  if (one.kind === 'append') rows.put(place, one.value)
  else {
    rows.remove(place)
    lineOf(kv, one.set.table).leaving.add(nameOf(place))
  }
}

/** After the commit, or after it has failed. */
export const settleInLine = (kv: KvState, one: LineWrite, place: Buffer, isDone: boolean): void => {
  const line = lineOf(kv, one.set.table)
  const { position, held, leaving, free } = line
  const isPassed = position !== undefined && place.compare(position) <= 0
  if (one.kind === 'append') {
    // Takes have come further than to its place.
    if (isDone && isPassed) free.push(nameOf(place))
    return
  }
  const name = nameOf(place)
  leaving.delete(name)
  if (isDone) held.delete(name)
  else if (isPassed && !held.has(name)) free.push(name)
}

const weightOf = (place: Buffer): number => place[PARTITION_AT - 1] ?? 1

const taken = (name: string, place: Buffer, value: Buffer): TakenPlace => ({
  partition: name.slice(PARTITION_AT),
  handle: name,
  key: place.subarray(NUMBER_BYTES, PARTITION_AT),
  value,
})

/** All partitions are in one order, so all of them are asked. */
export const takePlaces = (
  kv: KvState,
  { table }: { table: Table },
  { limit, now, until }: Parameters<Kv['takePlaces']>[1],
): TakenPlace[] => {
  const line = lineOf(kv, table)
  const { held, leaving, waiting, free } = line
  const rows = rowsOf(kv, table)
  for (let next = waiting.peek(); next && next.freeAt <= now; next = waiting.peek()) {
    waiting.pop()
    if (held.get(next.name) !== next.freeAt) continue
    held.delete(next.name)
    free.push(next.name)
  }
  const hold = (name: string) => {
    held.set(name, until)
    waiting.push({ name, freeAt: until })
  }
  const found: TakenPlace[] = []
  let left = limit
  while (left > 0) {
    const name = free.pop()
    if (name === undefined) break
    if (held.has(name) || leaving.has(name)) continue
    const place = placeNamed(name)
    const value = rows.get(place)
    if (!value) continue
    const weight = weightOf(place)
    if (weight > left && found.length > 0) {
      free.push(name)
      return found
    }
    left -= weight
    hold(name)
    found.push(taken(name, place, value))
  }
  if (left <= 0) return found
  const start = line.position && Buffer.concat([line.position, Buffer.from([0])])
  for (const { key: at, value } of rows.getRange({ ...(start && { start }), limit: left })) {
    if (at.readDoubleBE(0) > now) break
    // Both are copies of what the engine has.
    const name = nameOf(at)
    const weight = weightOf(at)
    if (weight > left && found.length > 0) break
    line.position = at
    if (leaving.has(name)) continue
    left -= weight
    hold(name)
    found.push(taken(name, at, value))
  }
  return found
}
