/** Batches for the port that follow from a number: a process writes them, another one knows what they were. */
import { createHash } from 'node:crypto'
import { number } from '../../../src/storage/bytes.ts'
import type { Batch, Check, Outcome, SetName, Table, Write } from '../../../src/storage/kv.ts'
import { QUEUE, TABLES } from '../../contract/kv-model.ts'

export const NOW = 1_700_000_000_000
const DAY_MS = 86_400_000
/** Rows of this subject end soon, and nothing looks at them again. */
export const ENDING_SOON = 'soon'
/** The end of a lease is recognized by its fraction. */
export const LEASE_MARK = 0.5
/** The first ones are written by one call, the others by calls of their own. */
export const PARTITIONS = { together: ['a', 'b', 'c'], alone: ['d', 'e', 'f'] }
export const ALL_PARTITIONS = Object.values(PARTITIONS).flat()

/** Mulberry32: whole numbers below a bound. */
export const createRandom = (seed: number) => {
  let state = seed
  return (bound: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}
type Random = ReturnType<typeof createRandom>

const KEYS = ['', '00', '0001', '61', '6100', 'ff'].map((hex) => Buffer.from(hex, 'hex'))
const VALUES = [
  Buffer.alloc(0),
  Buffer.from([0, 255, 10]),
  Buffer.from('value'),
  Buffer.alloc(20_000, 'long'),
]
const pick = <T>(random: Random, from: readonly T[]): T => {
  const one = from[random(from.length)]
  if (one === undefined) throw new Error('Nothing to pick from')
  return one
}

const rowIn = (random: Random, partition: string): { set: SetName; key: Buffer; value: Buffer } => {
  const table: Table = pick(random, [...TABLES, QUEUE])
  const set = { table, partition, subject: pick(random, ['', 'a subject']) }
  const [key, value] = [pick(random, KEYS), pick(random, VALUES)]
  return {
    set,
    key: table.shape === 'cell' ? Buffer.alloc(0) : key,
    value: table.shape === 'index' ? Buffer.alloc(0) : value,
  }
}

const checkIn = (random: Random, partition: string): Check => {
  const { set, key, value } = rowIn(random, partition)
  const kind = pick(random, ['absent', 'present', 'is'] as const)
  return kind === 'is' && set.table.shape !== 'index'
    ? { kind, set, key, value }
    : { kind: kind === 'is' ? 'present' : kind, set, key }
}

const writeIn = (random: Random, partition: string, nth: number): Write => {
  const { set, key, value } = rowIn(random, partition)
  const end = set.table.ends && { expiresAt: NOW + DAY_MS + nth }
  const kind = random(10)
  if (kind === 0) return { kind: 'clear', set }
  if (kind < 3) return { kind: 'remove', set, key }
  if (set.table.shape !== 'queue') return { kind: kind < 5 ? 'create' : 'put', set, key, value, ...end }
  const at = NOW + random(1_000)
  if (kind > 5) return { kind: 'enqueue', set, id: key, at, value, ...end }
  return { kind: 'delay', set, id: key, at, ...(value.length > 0 && { value }) }
}

/** One batch of a partition. Most have no check, or none that fails. */
export const batchOf = (seed: number, partition: string, nth: number): Batch => {
  const random = createRandom(
    seed ^ Math.imul(partition.charCodeAt(0), 0x9e3779b1) ^ Math.imul(nth, 0x85ebca6b),
  )
  const checks = Array.from({ length: random(2) }, () => checkIn(random, partition))
  const writes = Array.from({ length: 1 + random(12) }, () => writeIn(random, partition, nth))
  const ending = TABLES.find(({ ends }) => ends)
  if (ending && random(4) === 0) {
    const set = { table: ending, partition, subject: ENDING_SOON }
    writes.push({ kind: 'put', set, key: number(nth), value: pick(random, VALUES), expiresAt: NOW + nth })
  }
  return { partition, checks, writes, isOnce: random(2) === 0 }
}

/** Of a value that may be long. */
export const digest = (value: Buffer): string => createHash('sha256').update(value).digest('hex').slice(0, 16)

/** An outcome as a line says it. */
export const textOf = (outcome: Outcome | undefined): string =>
  outcome?.isDone
    ? `done ${outcome.results.join('')}`
    : `refused ${outcome?.failed} ${outcome?.found === undefined ? 'nothing' : digest(outcome.found)}`
