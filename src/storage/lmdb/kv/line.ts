/**
 * Lines of the port in LMDB: `<table>` is the order of all partitions: when a row is due, its key, its partition.
 *
 * Leases are in memory, as those of queues are. A take goes on where the last one ended: `position` is how far rows have
 * been taken at all, `held` are the taken ones that are not dropped, each with the time from which it is free again. Those
 * return through two heaps, so a take costs what it takes, however many wait or are held.
 */
import type { HeldPlace, Kv, Lease, LineRow, LineWrite, SetName, Table, TakenPlace, Write } from '../../kv.ts'
import { createHeap } from '../heap.ts'
import { type KvState, type Line, NUMBER_BYTES, rowsOf } from './rows.ts'

const PARTITION_AT = 2 * NUMBER_BYTES

const newLine = (): Line => ({
  position: undefined,
  held: new Map(),
  moving: new Set(),
  waiting: createHeap((a, b) => a.until < b.until),
  free: createHeap((a, b) => a < b),
  weight: undefined,
})

export const lineOf = (kv: KvState, table: Table): Line => {
  const known = kv.lines.get(table.name)
  if (known) return known
  const line = newLine()
  kv.lines.set(table.name, line)
  return line
}

/** What the key of a row says. */
export const placeInLine = (at: Buffer) => ({
  at: at.readDoubleBE(0),
  key: Buffer.from(at.subarray(NUMBER_BYTES, PARTITION_AT)),
  partition: at.toString('utf8', PARTITION_AT),
})

const placeOf = ({ partition, subject }: SetName, { at, key }: LineRow): Buffer => {
  if (key.length !== NUMBER_BYTES || subject !== '') throw new Error('A line is one set with keys of 8 bytes')
  const place = Buffer.allocUnsafe(PARTITION_AT + Buffer.byteLength(partition))
  place.writeDoubleBE(at, 0)
  place.set(key, NUMBER_BYTES)
  place.write(partition, PARTITION_AT)
  return place
}

const nameOf = (place: Buffer): string => place.toString('latin1')
const placeNamed = (name: string): Buffer => Buffer.from(name, 'latin1')
const weightOf = (place: Buffer): number => place[PARTITION_AT - 1] ?? 1

/** A write of a transaction, and where its rows are. */
export interface PlacedLineWrite {
  one: LineWrite
  place: Buffer
  /** Of the row that comes in its place. */
  next: Buffer | undefined
  /** Something was there. */
  isFound: boolean
}

export const isOfLine = (one: Write): one is LineWrite =>
  one.kind === 'append' || one.kind === 'drop' || one.kind === 'replace'

export const placed = (one: LineWrite): PlacedLineWrite => ({
  one,
  place: placeOf(one.set, one.row),
  next: one.kind === 'replace' ? placeOf(one.set, one.next) : undefined,
  isFound: true,
})

/** Within the transaction. */
export const writeInLine = (kv: KvState, write: PlacedLineWrite): void => {
  const { one, place, next } = write
  const rows = rowsOf(kv, one.set.table)
  const { moving } = lineOf(kv, one.set.table)
  moving.add(nameOf(place))
  if (one.kind === 'append') {
    rows.put(place, one.row.value)
    return
  }
  write.isFound = rows.get(place) !== undefined
  if (!write.isFound) return
  rows.remove(place)
  if (one.kind !== 'replace' || !next) return
  moving.add(nameOf(next))
  rows.put(next, one.next.value)
}

const hold = ({ held, waiting }: Line, name: string, lease: Lease) => {
  held.set(name, lease)
  waiting.push({ name, until: lease.until })
}

/** What takes may have passed over meanwhile is free. */
const settleFree = (line: Line, name: string, place: Buffer) => {
  const isPassed = line.position !== undefined && place.compare(line.position) <= 0
  if (isPassed && !line.held.has(name)) line.free.push(name)
}

const addWeight = (line: Line, weight: number) => {
  if (line.weight !== undefined) line.weight += weight
}

/** After the commit, or after it has failed. */
export const settleInLine = (
  kv: KvState,
  { one, place, next, isFound }: PlacedLineWrite,
  isDone: boolean,
): void => {
  const line = lineOf(kv, one.set.table)
  const name = nameOf(place)
  const lease = line.held.get(name)
  const nextName = next && nameOf(next)
  line.moving.delete(name)
  if (nextName !== undefined) line.moving.delete(nextName)
  if (!isDone) {
    line.weight = undefined
    if (one.kind !== 'append') settleFree(line, name, place)
    return
  }
  if (one.kind === 'append') {
    addWeight(line, weightOf(place))
    if (one.lease) hold(line, name, one.lease)
    else settleFree(line, name, place)
    return
  }
  line.held.delete(name)
  if (!isFound) return
  addWeight(line, -weightOf(place))
  if (!next || nextName === undefined) return
  addWeight(line, weightOf(next))
  if (lease) hold(line, nextName, lease)
  else settleFree(line, nextName, next)
}

export const releasePlaces = (kv: KvState, rows: readonly HeldPlace[], at: number): void => {
  for (const { set, row, heldUntil } of rows) {
    const line = lineOf(kv, set.table)
    const name = nameOf(placeOf(set, row))
    const lease = line.held.get(name)
    if (lease && !lease.isReturned && lease.until === heldUntil)
      hold(line, name, { until: at, isReturned: true })
  }
}

/** Within a transaction. */
export const isFree = (kv: KvState, set: SetName, row: LineRow, now: number): boolean => {
  const place = placeOf(set, row)
  if (rowsOf(kv, set.table).get(place) === undefined) return false
  const lease = lineOf(kv, set.table).held.get(nameOf(place))
  return !lease || lease.isReturned || lease.until <= now
}

export const weigh = (kv: KvState, table: Table): number => {
  const line = lineOf(kv, table)
  if (line.weight === undefined) {
    line.weight = 0
    for (const at of rowsOf(kv, table).getKeys({})) line.weight += weightOf(at)
  }
  return line.weight
}

interface Taking {
  found: TakenPlace[]
  left: number
  until: number
}

/** Answers false where the row stands for more than is left. */
const takeRow = (
  line: Line,
  taking: Taking,
  row: { name: string; place: Buffer; value: Buffer },
): boolean => {
  const weight = weightOf(row.place)
  if (weight > taking.left && taking.found.length > 0) return false
  taking.left -= weight
  hold(line, row.name, { until: taking.until, isReturned: false })
  taking.found.push({ ...placeInLine(row.place), value: row.value })
  return true
}

/** What came back: it was there before all that was never taken. */
const takeReturned = (kv: KvState, table: Table, taking: Taking): boolean => {
  const line = lineOf(kv, table)
  while (taking.left > 0) {
    const name = line.free.pop()
    if (name === undefined) return true
    if (line.held.has(name) || line.moving.has(name)) continue
    const place = placeNamed(name)
    const value = rowsOf(kv, table).get(place)
    if (!value || takeRow(line, taking, { name, place, value })) continue
    line.free.push(name)
    return false
  }
  return false
}

/** All partitions are in one order, so all of them are asked. */
export const takePlaces = (
  kv: KvState,
  { table }: { table: Table },
  { limit, now, until }: Parameters<Kv['takePlaces']>[1],
): TakenPlace[] => {
  const line = lineOf(kv, table)
  const { held, moving, waiting, free } = line
  for (let next = waiting.peek(); next && next.until <= now; next = waiting.peek()) {
    waiting.pop()
    if (held.get(next.name)?.until !== next.until) continue
    held.delete(next.name)
    free.push(next.name)
  }
  const taking: Taking = { found: [], left: limit, until }
  if (!takeReturned(kv, table, taking)) return taking.found
  const start = line.position && Buffer.concat([line.position, Buffer.from([0])])
  const range = { ...(start && { start }), limit: taking.left }
  for (const { key: at, value } of rowsOf(kv, table).getRange(range)) {
    if (at.readDoubleBE(0) > now) break
    // Both are copies of what the engine has.
    const name = nameOf(at)
    if (moving.has(name)) line.position = at
    else if (held.has(name)) line.position = at
    else if (takeRow(line, taking, { name, place: at, value })) line.position = at
    else break
    if (taking.left <= 0) break
  }
  return taking.found
}
