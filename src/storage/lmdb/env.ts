import { closeSync, constants, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase, type Transaction } from 'lmdb'
import { ProtocolError } from '../../protocol/errors.ts'
import type { DamagedRow } from '../damaged-row.ts'
import { BYTES } from './bytes.ts'
import { type Bytes, createByteRows, createObjectRows, type Rows } from './checked-rows.ts'
import { createWriteCheck } from './write-check.ts'

/** What the stores use of LMDB: tables, and transactions that are durable when their promise resolves. */
export interface Env {
  /** A database without checksums: for the table that says which format the others have. */
  openDB: RootDatabase['openDB']
  /** A table of bytes. */
  bytes(table: string): Bytes
  /** A table of values. */
  rows<V>(table: string): Rows<V>
  /**
   * Runs `work` alone, then commits. What throws before its first write leaves nothing; LMDB does not roll back what
   * was written before a throw. Rejects with `unavailable` when the commit fails, or the disk has no room for one: nothing
   * of it is kept.
   * A device that fails while the head of the file is written leaves LMDB useless until the process is started again:
   * then all calls are refused at once.
   */
  transaction<T>(work: () => T): Promise<T>
  /** Calls the listener with the engine's error for each group of transactions that could not be committed. */
  onFailedCommit(listener: (cause: unknown) => void): Disposable
  /**
   * Resolves, with the engine's error, when it is useless until the process is started again. From then on nothing of it
   * may be used: its messages grow with every call, until one overruns the memory that holds it.
   */
  readonly lost: Promise<Error>
  /** Bytes of the file that hold nothing and are written before it grows. */
  reusableBytes(): number
  /** What is there now, for reads that state it; ends when it is disposed of or the environment is closed. */
  snapshot(): { transaction: Transaction } & Disposable
  /** Enters this process among the readers, where `others` of another one finds it; opening a table takes it out again. */
  enter(): void
  /** Processes other than this one that have the environment open. */
  others(): number[]
  close(): Promise<void>
}

interface TableStats {
  treeBranchPageCount?: number
  treeLeafPageCount?: number
  overflowPages?: number
}
/** As LMDB has them; its types name none of it. */
interface FileStats extends TableStats {
  pageSize?: number
  lastPageNumber?: number
  /** The table of what may be written again. */
  free?: TableStats
}
const pagesOf = (table: TableStats): number =>
  (table.treeBranchPageCount ?? 0) + (table.treeLeafPageCount ?? 0) + (table.overflowPages ?? 0)
/** Pages at the beginning of the file. */
const HEAD_PAGES = 2

/**
 * LMDB gives up when it cannot write the head of its file: every later read throws, and every later transaction, that
 * which waits already too, stays without an answer. After a failed commit `read` tells whether this is so; then all that
 * wait are refused, and all that come.
 */
const createFuse = (read: () => void) => {
  const waiting = new Set<(error: Error) => void>()
  let broken: Error | undefined
  let lose: (error: Error) => void = () => {}
  const lost = new Promise<Error>((resolve) => {
    lose = resolve
  })
  const refusal = () => new ProtocolError('unavailable', 'the store must be opened again', { cause: broken })
  return {
    lost,
    isBroken: () => broken !== undefined,
    pass<T>(work: () => Promise<T>): Promise<T> {
      if (broken) return Promise.reject(refusal())
      return new Promise((resolve, reject) => {
        waiting.add(reject)
        work()
          .then(resolve, reject)
          .finally(() => waiting.delete(reject))
      })
    },
    /** A commit has failed. Returns why nothing works any more, where that is so. */
    fail(): Error | undefined {
      if (broken) return broken
      try {
        read()
      } catch (error) {
        broken = error instanceof Error ? error : new Error('LMDB cannot read', { cause: error })
        for (const reject of waiting) reject(refusal())
        waiting.clear()
        lose(broken)
      }
      return broken
    },
  }
}
const PAGE_BYTES = 4_096
/** The size that the engine gives the file of its readers, 126 of them. */
const READERS_FILE_BYTES = 8_272

/**
 * Gives the file of the readers its room on the disk. The engine maps it, and a page of it for which there is no room ends
 * the process with SIGBUS. The last byte of a page belongs to no reader, so processes that use the file are not disturbed.
 */
const allocateReadersFile = (path: string): void => {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const handle = openSync(join(path, 'lock.mdb'), constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    for (let at = PAGE_BYTES - 1; at < READERS_FILE_BYTES - 1; at += PAGE_BYTES) {
      writeSync(handle, new Uint8Array(1), 0, 1, at)
    }
    writeSync(handle, new Uint8Array(1), 0, 1, READERS_FILE_BYTES - 1)
  } finally {
    closeSync(handle)
  }
}

/** An option of the engine that its types do not have. */
const OWNER_ONLY = { permissionsMode: 0o600 }

/** `measured` keeps the handles of tables between two calls. */
const reusableBytesOf = (env: RootDatabase, measured: Map<string, Database<Buffer, Buffer>>): number => {
  for (const name of env.getKeys()) {
    if (typeof name === 'string' && !measured.has(name)) measured.set(name, env.openDB({ name, ...BYTES }))
  }
  const file: FileStats = env.getStats()
  const { pageSize = 0, lastPageNumber = 0, free = {} } = file
  const tables = [file, free, ...[...measured.values()].map((table): TableStats => table.getStats())]
  const used = tables.reduce((sum, table) => sum + pagesOf(table), HEAD_PAGES)
  return Math.max(0, lastPageNumber + 1 - used) * pageSize
}

const otherProcesses = (env: RootDatabase): number[] => {
  // Enters this process first: of two that start at once at least one sees the other.
  env.get('')
  env.readerCheck()
  const pids = env
    .readerList()
    .split('\n')
    .map((line) => Number.parseInt(line, 10))
  return [...new Set(pids)].filter((pid) => Number.isInteger(pid) && pid !== process.pid)
}

/** Rows that are told of, at most. */
const MAX_TOLD_ROWS = 1_000

/** What sweeps and workers meet again and again is told once. */
const sayOnce = (tell: (error: DamagedRow) => void) => {
  const told = new Set<string>()
  return (error: DamagedRow, key: Buffer): void => {
    const name = `${error.message} ${key.toString('latin1')}`
    if (told.has(name) || told.size >= MAX_TOLD_ROWS) return
    told.add(name)
    tell(error)
  }
}

const placesIn = (env: RootDatabase, tell: (error: DamagedRow) => void) => {
  const onDamagedRow = sayOnce(tell)
  return (table: string) => ({ openDB: env.openDB.bind(env), table, onDamagedRow })
}

/**
 * `onDamagedRow` is called for each row that is found damaged, once, before whoever read it gets the error.
 * Throws the file system's error, or one with its number, where there is no room.
 */
export const openEnv = (path: string, onDamagedRow: (error: DamagedRow) => void = () => {}): Env => {
  allocateReadersFile(path)
  const refusedBy = createWriteCheck(path)
  const atOnce = refusedBy()
  if (atOnce) throw atOnce
  const env = open({
    path,
    noSubdir: false,
    ...OWNER_ONLY,
    maxDbs: 128,
    // Resolve after the data reached the disk, not when it is merely visible.
    overlappingSync: false,
    // Its internal promises reject without a handler when a commit fails, which ends the process. Transactions that
    // are asked for in one turn are grouped without it, too.
    eventTurnBatching: false,
  })
  const snapshots = new Set<Transaction>()
  const listeners = new Set<(cause: unknown) => void>()
  const measured = new Map<string, Database<Buffer, Buffer>>()
  const { pass, isBroken, fail, lost } = createFuse(() => env.useReadTransaction().done())
  const placeOf = placesIn(env, onDamagedRow)
  const failed = (reason: unknown): ProtocolError => {
    for (const listener of listeners) listener(reason)
    return new ProtocolError('unavailable', 'the store could not write', { cause: reason })
  }
  return {
    openDB: env.openDB.bind(env),
    bytes: (table) => createByteRows(placeOf(table)),
    rows: (table) => createObjectRows(placeOf(table)),
    async transaction(work) {
      const refusal = isBroken() ? undefined : refusedBy()
      if (refusal) throw failed(refusal)
      try {
        return await pass(() => env.transaction(work))
      } catch (error) {
        if (!(error instanceof Error) || !('commitError' in error)) throw error
        // The reason comes as a promise that rejects.
        const cause = await Promise.resolve(error.commitError).catch((reason: unknown) => reason)
        throw failed(fail() ?? cause)
      }
    },
    onFailedCommit(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    lost,
    reusableBytes: () => reusableBytesOf(env, measured),
    snapshot() {
      const transaction = env.useReadTransaction()
      snapshots.add(transaction)
      const end = () => {
        if (snapshots.delete(transaction) && !isBroken()) transaction.done()
      }
      return { transaction, [Symbol.dispose]: end }
    },
    enter: () => void env.get(''),
    others: () => otherProcesses(env),
    close() {
      // It would wait for ever.
      if (isBroken()) return Promise.resolve()
      for (const snapshot of snapshots) snapshot.done()
      snapshots.clear()
      return env.close()
    },
  }
}
