/**
 * The port on LMDB. A table is a database; the key of a row is partition, subject and key, with a zero byte between them.
 *
 * | database | key | value |
 * |---|---|---|
 * | `<table>` | partition, subject, key | the value; of a table with `ends` its end stands before it |
 * | `<table>.due`, of a queue | partition, subject, when it is due, id | – |
 * | `kv.ends` | end, table, partition, subject, key | whether the table is a queue |
 *
 * A commit is one transaction with all others that wait, durable when it resolves. A lease is in memory: this process alone
 * works on the store, and after a restart all that was leased is due at once. A row that was written again with another end
 * leaves its former entry in `kv.ends`; a sweep that finds one looks at the row.
 */
import type { Transaction } from 'lmdb'
import { createKeyedLock } from '../../../platform/concurrency/keyed-lock.ts'
import { endOf, key, number } from '../../bytes.ts'
import { ifWhole } from '../../damaged-row.ts'
import type { Kv, RowSource, SetName, Table, Taken } from '../../kv.ts'
import type { Env } from '../env.ts'
import { commit } from './commit.ts'
import { answer } from './read.ts'
import {
  bodyOf,
  dueOf,
  endIn,
  type KvState,
  keyAt,
  leaseKey,
  NUMBER_BYTES,
  openTable,
  prefixOf,
  rowsOf,
} from './rows.ts'
import { createVolatileRows } from './volatile-rows.ts'
import { rows, sweep } from './walk.ts'

interface Due {
  set: SetName
  due: number
  id: Buffer
  value: Buffer
}

/** Rows of one set that are due and that nobody has, the longest due first. */
const dueIn = (kv: KvState, set: SetName, now: number, limit: number): Due[] => {
  const prefix = prefixOf(set)
  const found: Due[] = []
  for (const entry of dueOf(kv, set.table).getKeys({ start: prefix, end: key(prefix, endOf(number(now))) })) {
    if (found.length === limit) break
    const id = Buffer.from(entry.subarray(prefix.length + NUMBER_BYTES))
    const at = keyAt(set, id)
    const lease = kv.leases.get(leaseKey(set, at))
    if (lease !== undefined && lease > now) continue
    const value = ifWhole(() => rowsOf(kv, set.table).get(at))
    if (!value || endIn(set.table, value) <= now) continue
    found.push({ set, due: value.readDoubleBE(0), id, value: bodyOf(set.table, value) })
  }
  return found
}

const take: (kv: KvState, ...args: Parameters<Kv['take']>) => Taken[] = (
  kv,
  { table, partitions, subject = '' },
  { limit, now, until },
) => {
  const found = partitions.flatMap((partition) => dueIn(kv, { table, partition, subject }, now, limit))
  if (partitions.length > 1) found.sort((a, b) => a.due - b.due)
  return found.slice(0, limit).map(({ set, id, value }) => {
    kv.leases.set(leaseKey(set, keyAt(set, id)), until)
    return { partition: set.partition, id, value }
  })
}

const listenerVerbs = (kv: KvState): Pick<Kv, 'publish' | 'listen'> => ({
  publish(channel, texts) {
    for (const text of texts)
      for (const listener of [...(kv.listeners.get(channel) ?? [])]) listener(text, channel)
  },
  listen(channels, listener) {
    // A function of its own: the same listener may listen twice.
    const mine: typeof listener = (text, channel) => listener(text, channel)
    for (const channel of channels) {
      kv.listeners.set(channel, (kv.listeners.get(channel) ?? new Set()).add(mine))
    }
    return {
      [Symbol.dispose]() {
        for (const channel of channels) {
          const known = kv.listeners.get(channel)
          known?.delete(mine)
          if (known?.size === 0) kv.listeners.delete(channel)
        }
      },
    }
  },
})

export interface LmdbKv extends Kv {
  /** Rows as of this transaction. */
  rowsAt(transaction: Transaction): RowSource
}

/**
 * `tables`: those of the rooms, which are opened at once: a table that is opened while a snapshot lasts would end it. Others are
 * opened at their first use.
 */
export const createLmdbKv = (env: Env, tables: readonly Table[]): LmdbKv => {
  const kv: KvState = {
    env,
    databases: new Map(),
    ends: env.bytes('kv.ends'),
    leases: new Map(),
    volatile: createVolatileRows(),
    listeners: new Map(),
  }
  for (const table of tables) openTable(kv, table)
  return {
    read: async (requests) => requests.map((request) => answer(kv, request)),
    commit: (batches, now) => commit(kv, batches, now),
    take: async (queue, lease) => take(kv, queue, lease),
    rows: (table, after) => rows(kv, table, after),
    size: async (table) => rowsOf(kv, table).size(),
    rowsAt: (transaction) => ({
      read: async (requests) => requests.map((request) => answer(kv, request, transaction)),
      rows: (table, after) => rows(kv, table, after, transaction),
      size: async () => undefined,
    }),
    inTurn: createKeyedLock(),
    sweep: (now, limit) => sweep(kv, now, limit),
    ...listenerVerbs(kv),
  }
}
