/** The port against the simplest thing that could be one: a sorted list of rows in memory. */

import { type Codec, NOTHING } from '../../src/storage/codec.ts'
import type {
  Batch,
  Check,
  Outcome,
  RawRow,
  ReadAnswer,
  ReadRequest,
  SetName,
  Taken,
  Write,
} from '../../src/storage/kv.ts'
import { defineTable } from '../../src/storage/table.ts'

/** Bytes as they are. */
const raw: Codec<Buffer> = {
  encodeBehind: (free, value) => Buffer.concat([Buffer.alloc(free), value]),
  decode: (bytes) => bytes,
}
const options = { codec: raw } as const
export const TABLES = [
  defineTable({ name: 'test.cells', shape: 'cell', ...options }),
  defineTable({ name: 'test.mapped', shape: 'map', ...options }),
  defineTable({ name: 'test.sorted', shape: 'ordered', ...options }),
  defineTable({ name: 'test.ending', shape: 'ordered', ends: true, ...options }),
  defineTable({ name: 'test.named', shape: 'index', codec: NOTHING }),
].map(({ table }) => table)
export const QUEUE = defineTable({ name: 'test.work', shape: 'queue', ends: true, ...options }).table

interface ModelRow extends RawRow {
  set: SetName
  expiresAt: number
  /** Of a queue. */
  due: number
}

const isSameSet = (a: SetName, b: SetName) =>
  a.table.name === b.table.name && a.partition === b.partition && a.subject === b.subject

/**
 * Rows that have ended stay: an engine may keep them, and the tests ask before they end. `from`: what is there at the
 * beginning.
 */
export const createKvModel = (from: readonly ModelRow[] = []) => {
  let rows = from.map((row) => ({ ...row }))
  const inSet = (set: SetName) =>
    rows.filter((row) => isSameSet(row.set, set)).sort((a, b) => Buffer.compare(a.key, b.key))
  const find = (set: SetName, key: Buffer) => inSet(set).find((row) => row.key.equals(key))

  const holds = (check: Check): boolean => {
    if (check.kind === 'free') throw new Error('The model has no lines')
    const found = find(check.set, check.key)
    if (check.kind === 'is') return found?.value.equals(check.value) ?? false
    return (found === undefined) === (check.kind === 'absent')
  }

  const remove = (gone: readonly ModelRow[]) => {
    rows = rows.filter((row) => !gone.includes(row))
    return gone.length > 0 ? 1 : 0
  }

  const write = (one: Write): number => {
    const { set } = one
    if ('row' in one) throw new Error('The model has no lines')
    if (one.kind === 'clear') return remove(inSet(set))
    const key = 'id' in one ? one.id : one.key
    const former = find(set, key)
    if (one.kind === 'remove') return remove(former ? [former] : [])
    if (one.kind === 'delay') {
      if (!former) return 0
      former.due = one.at
      if (one.value) Object.assign(former, { value: one.value })
      return 1
    }
    if (former && one.kind !== 'put') return 0
    if (former) remove([former])
    const due = one.kind === 'enqueue' ? one.at : 0
    rows.push({ set, key, value: one.value, due, expiresAt: one.expiresAt ?? Number.POSITIVE_INFINITY })
    return 1
  }

  return {
    rows: () => rows,
    commit({ checks = [], writes }: Batch): Outcome {
      const failed = checks.findIndex((check) => !holds(check))
      if (failed === -1) return { isDone: true, results: writes.map(write) }
      const check = checks[failed]
      const found = check && 'key' in check ? find(check.set, check.key)?.value : undefined
      return { isDone: false, failed, found }
    },
    read(request: ReadRequest): ReadAnswer {
      if (request.kind === 'get') return { kind: 'get', value: find(request.set, request.key)?.value }
      if (request.kind === 'lease') throw new Error('The model has no lines')
      const { from, to } = request.range
      const found = inSet(request.set)
        .filter(({ key }) => (!from || key.compare(from) >= 0) && (!to || key.compare(to) < 0))
        .map(({ key, value }) => ({ key, value }))
      if (request.kind === 'count') return { kind: 'count', count: found.length }
      if (request.isReverse) found.reverse()
      return { kind: 'range', rows: found.slice(0, request.limit) }
    },
    take({ limit, now, until }: { limit: number; now: number; until: number }): Taken[] {
      const due = rows
        .filter(({ set, due, expiresAt }) => set.table === QUEUE && due <= now && expiresAt > now)
        .sort((a, b) => a.due - b.due)
        .slice(0, limit)
      for (const row of due) row.due = until
      return due.map(({ set, key, value }) => ({ partition: set.partition, id: key, value }))
    },
  }
}
