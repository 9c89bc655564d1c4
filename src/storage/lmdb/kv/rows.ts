/** Where rows of the port lie in LMDB: databases and keys (the table of them is in `./engine.ts`). */
import type { Transaction } from 'lmdb'
import { key, name, number } from '../../bytes.ts'
import type { Range, SetName, Table } from '../../kv.ts'
import { PRESENT } from '../bytes.ts'
import type { Bytes } from '../checked-rows.ts'
import type { Env } from '../env.ts'
import type { VolatileRows } from './volatile-rows.ts'

export const NUMBER_BYTES = 8
/** LMDB's bound is 1,978. */
const MAX_KEY_BYTES = 1_900
export const NONE = Buffer.alloc(0)

export interface KvState {
  env: Env
  databases: Map<string, Bytes>
  ends: Bytes
  /** Until when a row of a queue is leased, by the name of its set and its id. */
  leases: Map<string, number>
  volatile: VolatileRows
  listeners: Map<string, Set<(text: string, channel: string) => void>>
}

const openDatabase = (kv: KvState, database: string): Bytes => {
  const known = kv.databases.get(database)
  if (known) return known
  const opened: Bytes = kv.env.bytes(database)
  kv.databases.set(database, opened)
  return opened
}

export const rowsOf = (kv: KvState, table: Table): Bytes => openDatabase(kv, table.name)
/** Opens what the table has on the disk. */
export const openTable = (kv: KvState, table: Table): void => {
  if (table.isVolatile) return
  rowsOf(kv, table)
  if (table.shape === 'queue') dueOf(kv, table)
}

export const dueOf = (kv: KvState, table: Table): Bytes => openDatabase(kv, `${table.name}.due`)

/** A text of so many characters has no more bytes than a name may have. */
const SHORT_NAME = 340

/** Throws for what is no name; a subject may be empty. */
const bytesOf = (text: string, isSubject: boolean): number => {
  if (isSubject && text === '') return 0
  if (text === '' || text.length > SHORT_NAME || text.includes('\0')) return name(text).length
  return Buffer.byteLength(text)
}

/** Partition, subject and key in one Buffer: every row that is read or written has one. */
export const keyAt = ({ table, partition, subject }: SetName, rest: Buffer): Buffer => {
  const subjectAt = bytesOf(partition, false) + 1
  const restAt = subjectAt + bytesOf(subject, true) + 1
  if (restAt + rest.length > MAX_KEY_BYTES) throw new Error(`A key of the table ${table.name} is too long`)
  const at = Buffer.allocUnsafe(restAt + rest.length)
  at.write(partition)
  at[subjectAt - 1] = 0
  if (subject !== '') at.write(subject, subjectAt)
  at[restAt - 1] = 0
  at.set(rest, restAt)
  return at
}

export const prefixOf = (set: SetName): Buffer => keyAt(set, NONE)

const HEAD_BYTES = { due: 2 * NUMBER_BYTES, ends: NUMBER_BYTES, none: 0 } as const
const headBytesOf = ({ shape, ends }: Table): number =>
  HEAD_BYTES[shape === 'queue' ? 'due' : ends ? 'ends' : 'none']

export const bodyOf = (table: Table, value: Buffer): Buffer =>
  table.shape === 'index' ? NONE : value.subarray(headBytesOf(table))

/** When it ends; of a queue that comes behind when it is due. */
export const endIn = ({ shape, ends }: Table, value: Buffer): number =>
  ends ? value.readDoubleBE(shape === 'queue' ? NUMBER_BYTES : 0) : Number.POSITIVE_INFINITY

export const valueAt = (
  kv: KvState,
  set: SetName,
  at: Buffer,
  view?: { transaction: Transaction },
): Buffer | undefined => {
  if (set.table.isVolatile) return kv.volatile.get(set)
  const rows = rowsOf(kv, set.table)
  const value = view ? rows.get(at, view) : rows.get(at)
  return value && bodyOf(set.table, value)
}

export const boundsOf = (set: SetName, { from, to }: Range) => ({
  start: from ? key(prefixOf(set), from) : prefixOf(set),
  end: to ? key(prefixOf(set), to) : Buffer.concat([prefixOf(set).subarray(0, -1), Buffer.from([1])]),
})

/** Names the lease of a row of a queue. */
export const leaseKey = ({ table }: SetName, at: Buffer): string => `${table.name} ${at.toString('latin1')}`

export const dueKey = (set: SetName, due: number, id: Buffer): Buffer => key(prefixOf(set), number(due), id)

/** What an entry of `kv.ends` says of its table. */
export const IS_QUEUE = { true: Buffer.from([2]), false: PRESENT }
