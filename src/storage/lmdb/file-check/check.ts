/**
 * Reads the file of an LMDB store as the engine would, before the engine maps it: what is cut short or damaged ends the
 * process there (SIGBUS, SIGSEGV, an assertion), or is answered as if it had been written; here it is a sentence.
 *
 * Looked at: both meta pages; every page that the newest one leads to (its own number, kind, age and bounds, the place of
 * every node in it, the order of its keys, the reach of its children and of long values); the checksum of every row; how
 * many pages and rows each table has; the lists of free pages. A bit that turned elsewhere is in a place that nobody reads. One
 * that turned in a row can be turned back.
 */
import { closeSync, fstatSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { STORE_FORMAT } from '../../store-format.ts'
import { checkFree } from './free-pages.ts'
import { Damage, FREE_LIST, hasOwnAge, type Meta, metasOf, TABLE_LIST, type TreeRecord } from './layout.ts'
import type { Repair } from './rows.ts'
import { isInUse, openTable, openTree, openWalk, walkTree } from './walk.ts'

export interface FileCheck {
  /** What is wrong, the end of a sentence; undefined when nothing is. */
  damage: string | undefined
  pages: number
  /** False when the time was over before everything was looked at. */
  isComplete: boolean
  /** What is repaired before the store is used, and the transaction that wrote it last. */
  repairs: readonly Repair[]
  transaction: number
  /** Something was written that no meta page has: the last commit failed, or a bit of its meta page turned. */
  isBehind: boolean
}

interface Bounds {
  meta: Meta
  isOver: () => boolean
}

/** The table that says which format the others have, and its row. Its own rows have no checksum. */
const FORMAT_TABLE = 'store'
const FORMAT_KEY = Buffer.from('format')

const walkAll = async (
  handle: number,
  fileBytes: number,
  { meta, isOver }: Bounds,
): Promise<Pick<FileCheck, 'pages' | 'isComplete' | 'repairs'>> => {
  const walk = openWalk(handle, fileBytes, meta)
  const tables = new Map<string, TreeRecord>()
  let format: number | undefined
  const found = {
    table: (name: string, record: TreeRecord) => void tables.set(name, record),
    row(tree: { title: string }, key: Buffer, value: Buffer) {
      if (tree.title === `the table ${FORMAT_TABLE}` && key.equals(FORMAT_KEY)) format = value[0]
    },
  }
  const goOver = (tree: Parameters<typeof walkTree>[1]) => walkTree(walk, tree, { found, isOver })
  let isComplete = await goOver(openTree(TABLE_LIST, 'tables', meta.main))
  isComplete &&= await goOver(openTree(FREE_LIST, 'free pages', meta.free))
  const formatTable = tables.get(FORMAT_TABLE)
  tables.delete(FORMAT_TABLE)
  if (formatTable) isComplete &&= await goOver(openTable(FORMAT_TABLE, formatTable, false))
  for (const [name, record] of tables) {
    // What another version wrote is not opened: it is enough to be able to read its number.
    isComplete &&= await goOver(openTable(name, record, format === STORE_FORMAT))
  }
  const { lastPage, pages, repairs } = walk
  if (isComplete) checkFree(walk.free, { lastPage, pages, isInUse: (page) => isInUse(walk, page) })
  return { pages, isComplete, repairs }
}

/**
 * Whether the engine can open this file and go over it. No process writes to it meanwhile; where one does all the same,
 * what looks like damage is not called so.
 */
export const checkStoreFile = async (
  file: string,
  { timeoutMs, now }: { timeoutMs: number; now: () => number },
): Promise<FileCheck> => {
  const handle = openSync(file, 'r')
  const fileBytes = fstatSync(handle).size
  const deadline = now() + timeoutMs
  let meta: Meta | undefined
  try {
    const { newest, former } = metasOf(handle, fileBytes)
    meta = newest
    const seen = await walkAll(handle, fileBytes, { meta, isOver: () => now() > deadline })
    if (!hasOwnAge(handle, meta)) throw new Damage('its meta pages contradict what they lead to')
    return { damage: undefined, transaction: meta.transaction, isBehind: !hasOwnAge(handle, former), ...seen }
  } catch (error) {
    if (!(error instanceof Damage)) throw error
    const isWritten = meta !== undefined && hasMoved(handle, fileBytes, meta)
    const damage = isWritten ? undefined : error.message
    const nothing = { pages: 0, repairs: [], transaction: meta?.transaction ?? 0, isBehind: false }
    return { damage, isComplete: !isWritten, ...nothing }
  } finally {
    closeSync(handle)
  }
}

/** Whether a process has committed since. */
const hasMoved = (handle: number, fileBytes: number, { transaction }: Meta): boolean => {
  try {
    return metasOf(handle, fileBytes).newest.transaction !== transaction
  } catch {
    return false
  }
}

/**
 * Turns back what had turned; false when something was written since the check. No process has the store open for writing
 * meanwhile.
 */
export const repairStoreFile = (file: string, { repairs, transaction }: FileCheck): boolean => {
  if (repairs.length === 0) return true
  const handle = openSync(file, 'r+')
  try {
    if (metasOf(handle, fstatSync(handle).size).newest.transaction !== transaction) return false
    for (const { at, byte } of repairs) writeSync(handle, Uint8Array.of(byte), 0, 1, at)
    fsyncSync(handle)
    return true
  } finally {
    closeSync(handle)
  }
}
