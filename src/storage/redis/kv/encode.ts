/** Batches of the port as `kvCommit` takes them: what they do to one set stands together, so that it is one command. */
import { invariant } from '../../../platform/invariant.ts'
import { HOUR_MS } from '../../../platform/units.ts'
import { number } from '../../bytes.ts'
import type { Batch, Check, LineWrite, SetName, Shape, Write } from '../../kv.ts'
import { leasedScore, memberOf, scoreOf } from './line.ts'
import type { Packing } from './packing.ts'
import { checkKey, escapedLength, homeOf, KEY_END, keysIn, NO_END, NONE } from './rows.ts'

/** How much longer than its row a key is kept: for clocks that differ. */
const TTL_MARGIN_MS = HOUR_MS
/** What is packed beside keys and values: of a row, and of a batch. */
const ROW_OVERHEAD_BYTES = 24
const BATCH_OVERHEAD_BYTES = 128

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1')

const LETTERS: Record<Shape, string> = {
  cell: 'c',
  map: 'm',
  ordered: 'o',
  index: 'i',
  queue: 'q',
  line: 'l',
}

/** Checks of one kind of one set, or its puts, or another write. */
interface Group {
  kind: (Check | Write)['kind']
  shape: Shape
  /** Of the set's first key. */
  place: number
  rows: Buffer[]
  values: Buffer[]
  /** Of checks: where they are in the batch. */
  nths: number[]
  /** Whether each row is behind the one before. */
  isRising: boolean
  /** Ms; 0: without an end. */
  ttl: number
  /** Of a queue. */
  dues: number[]
}

/** A batch as the script takes it. */
export interface EncodedBatch {
  keys: readonly string[]
  checks: readonly Group[]
  writes: readonly Group[]
  /** The place of the key of the answer that is kept, from 1 on; 0: none is. */
  oncePlace: number
  /** About how long it is when it is packed. */
  bytes: number
}

/** A set of a batch. */
interface OpenSet {
  place: number
  /** The last group of each: what comes next of the same kind joins it. */
  checks: Group | undefined
  writes: Group | undefined
}

/** Finds the sets of a batch; their keys stand in `keys`, each of them once. */
const createSets = (home: string, keys: string[]) => {
  const byName = new Map<SetName, OpenSet>()
  let byKey: Map<string, OpenSet> | undefined
  let last: { name: SetName; set: OpenSet } | undefined
  const find = (name: SetName): OpenSet => {
    const known = byName.get(name)
    if (known) return known
    const wanted = keysIn(home, name)
    const [first = ''] = wanted
    byKey ??= new Map()
    const set = byKey.get(first) ?? { place: keys.length, checks: undefined, writes: undefined }
    if (set.place === keys.length) keys.push(...wanted)
    byKey.set(first, set)
    byName.set(name, set)
    return set
  }
  return (name: SetName): OpenSet => {
    if (last?.name !== name) last = { name, set: find(name) }
    return last.set
  }
}

// All of its members in one literal: copying objects together costs more than the rest of the encoding.
const newGroup = ({ kind, set }: Check | Write, place: number): Group => ({
  kind,
  shape: set.table.shape,
  place,
  rows: [],
  values: [],
  nths: [],
  isRising: true,
  ttl: 0,
  dues: [],
})

const isBehind = (before: Buffer, row: Buffer): boolean => {
  const length = Math.min(before.length, row.length)
  for (let at = 0; at < length; at++) {
    const difference = (row[at] ?? 0) - (before[at] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return row.length > before.length
}

const addRow = (group: Group, row: Buffer): void => {
  const before = group.rows.at(-1)
  if (before && group.isRising) group.isRising = isBehind(before, row)
  group.rows.push(row)
}

const endOf = (one: Write): number | undefined => {
  const expiresAt = 'expiresAt' in one ? one.expiresAt : undefined
  const isPlacing = one.kind === 'put' || one.kind === 'create' || one.kind === 'enqueue'
  if (isPlacing && (expiresAt !== undefined) !== one.set.table.ends)
    throw new Error(`A row of ${one.set.table.name} has an end where its table has none, or the reverse`)
  return expiresAt
}

const keptValue = (one: Write, expiresAt: number | undefined): Buffer => {
  if (one.kind === 'enqueue')
    return Buffer.concat([expiresAt === undefined ? NO_END : number(expiresAt), one.value])
  return ('value' in one && one.value) || NONE
}

const keyOf = (one: Check | Write): Buffer => {
  if ('row' in one) return memberOf(one.row)
  return 'id' in one ? one.id : 'key' in one ? one.key : NONE
}

/** What a write of a line says beside its member: a score, or the member that comes in its place. */
const lineValues = (one: LineWrite): Buffer[] => {
  if (one.kind === 'append') return [ascii(one.lease ? scoreOf(one.lease) : `${one.row.at}`)]
  if (one.kind === 'replace') return [memberOf(one.next)]
  return []
}

/** Of these, what a batch does to one set is one command. */
const JOINING: ReadonlySet<Group['kind']> = new Set(['put', 'append', 'drop', 'replace'])

/** Throws for what is no batch. `onceName`: of the answer that is kept, where one is wanted. */
export const encodeBatch = (
  { prefix, onceName }: { prefix: string; onceName: () => string },
  { partition, checks = [], writes, isOnce = false }: Batch,
  now: number,
): EncodedBatch => {
  const home = homeOf(prefix, partition)
  const keys: string[] = []
  const setOf = createSets(home, keys)
  const encoded = {
    keys,
    checks: [] as Group[],
    writes: [] as Group[],
    oncePlace: 0,
    bytes: BATCH_OVERHEAD_BYTES,
  }
  const groupFor = (one: Check | Write, which: 'checks' | 'writes'): Group => {
    const { kind, set } = one
    invariant(set.partition === partition, 'a batch keeps to its partition')
    const row = keyOf(one)
    if (set.table.shape !== 'line') checkKey(set, row)
    else if (set.subject !== '') throw new Error('A line is one set of its partition')
    const open = setOf(set)
    const isJoined =
      open[which]?.kind === kind && set.table.shape !== 'cell' && (which === 'checks' || JOINING.has(kind))
    const group = (isJoined && open[which]) || newGroup(one, open.place)
    if (!isJoined) {
      open[which] = group
      encoded[which].push(group)
    }
    addRow(group, row)
    encoded.bytes += 2 * row.length + ROW_OVERHEAD_BYTES
    return group
  }
  for (let nth = 0; nth < checks.length; nth++) {
    const check = checks[nth]
    if (!check) continue
    const group = groupFor(check, 'checks')
    group.nths.push(nth)
    if (check.kind === 'free') group.values.push(ascii(`${leasedScore(check.now)}`))
    if (check.kind !== 'is') continue
    group.values.push(check.value)
    encoded.bytes += check.value.length
  }
  for (const one of writes) {
    const expiresAt = endOf(one)
    const group = groupFor(one, 'writes')
    if ('row' in one) {
      const values = lineValues(one)
      for (const value of values) encoded.bytes += value.length + ROW_OVERHEAD_BYTES
      group.values.push(...values)
      continue
    }
    const value = keptValue(one, expiresAt)
    group.values.push(value)
    encoded.bytes += value.length
    if (expiresAt !== undefined)
      group.ttl = Math.max(group.ttl, Math.max(1, Math.ceil(expiresAt - now)) + TTL_MARGIN_MS)
    if ('at' in one) group.dues.push(one.at)
  }
  if (isOnce) encoded.oncePlace = keys.push(`${home}once:${onceName()}`)
  return encoded
}

const packRow = (into: Packing, shape: Shape, row: Buffer): void => {
  if (shape !== 'ordered') into.bytes(row)
  else {
    into.begin(escapedLength(row))
    into.escaped(row)
  }
}

const packSet = (into: Packing, { kind, shape, place }: Group): void => {
  into.ascii(kind)
  into.ascii(LETTERS[shape])
  into.whole(place)
}

const packCheck = (into: Packing, group: Group): void => {
  const { kind, shape, rows, values } = group
  const hasValues = kind === 'is' || kind === 'free'
  into.list(hasValues ? 5 : 4)
  packSet(into, group)
  into.list(rows.length)
  for (const row of rows) packRow(into, shape, row)
  if (!hasValues) return
  into.list(values.length)
  for (const value of values) into.bytes(value)
}

/** Arguments of `HSET` or `ZADD`. */
const packRows = (into: Packing, { shape, rows, values }: Group): void => {
  into.list(2 * rows.length)
  for (let nth = 0; nth < rows.length; nth++) {
    const [row, value] = [rows[nth] ?? NONE, values[nth] ?? NONE]
    if (shape === 'ordered' || shape === 'index') into.ascii('0')
    if (shape === 'ordered') {
      into.begin(escapedLength(row) + KEY_END.length + value.length)
      into.escaped(row)
      into.raw(KEY_END)
      into.raw(value)
    } else {
      into.bytes(row)
      if (shape !== 'index') into.bytes(value)
    }
  }
}

const packPut = (into: Packing, group: Group): void => {
  const { shape, rows, values, ttl, isRising } = group
  into.list(shape === 'ordered' ? 7 : 5)
  packSet(into, group)
  into.ascii(`${ttl}`)
  if (shape === 'cell') {
    into.bytes(values[0] ?? NONE)
    return
  }
  packRows(into, group)
  if (shape !== 'ordered') return
  into.list(rows.length)
  for (const row of rows) into.whole(escapedLength(row))
  into.whole(isRising ? 1 : 0)
}

/** Of appended rows the arguments of `ZADD`; of others members and what belongs to each, one after the other. */
const packLine = (into: Packing, group: Group): void => {
  const { kind, place, rows, values } = group
  const isAppended = kind === 'append'
  const share = values.length / rows.length
  into.list(5)
  into.ascii(isAppended ? 'put' : kind)
  into.ascii(LETTERS.line)
  into.whole(place)
  into.ascii('0')
  into.list(rows.length + values.length)
  for (let nth = 0; nth < rows.length; nth++) {
    if (isAppended) into.bytes(values[nth] ?? NONE)
    into.bytes(rows[nth] ?? NONE)
    if (isAppended) continue
    for (let at = 0; at < share; at++) into.bytes(values[share * nth + at] ?? NONE)
  }
}

const packWrite = (into: Packing, group: Group): void => {
  const { shape, rows, values, ttl, dues } = group
  const [due] = dues
  into.list(7)
  packSet(into, group)
  into.ascii(`${ttl}`)
  packRow(into, shape, rows[0] ?? NONE)
  into.bytes(values[0] ?? NONE)
  into.ascii(due === undefined ? '' : `${due}`)
}

export const packBatch = (into: Packing, { checks, writes, oncePlace }: EncodedBatch): void => {
  into.list(3)
  into.whole(oncePlace)
  into.list(checks.length)
  for (const group of checks) packCheck(into, group)
  into.list(writes.length)
  for (const group of writes) {
    if (group.kind === 'put') packPut(into, group)
    else if (group.shape === 'line') packLine(into, group)
    else packWrite(into, group)
  }
}
