/**
 * Where things are in the file of an LMDB store, as the lmdb package writes it: `mdb.c`, 64 bit, little endian, data
 * version 2, offsets within a page counted from the end of its header.
 */
import { readSync } from 'node:fs'

export const META_PAGES = 2
export const PAGE_HEADER_BYTES = 24
export const NODE_HEADER_BYTES = 8
/** What stands in a node for a value that has pages of its own. */
export const LONG_VALUE_BYTES = 24
export const TREE_BYTES = 48
/** Where a meta page has its members, from the beginning of the page. */
const META = { magic: 24, version: 28, freeTree: 48, mainTree: 96, lastPage: 144, transaction: 152, end: 168 }
const MAGIC = 0xbeefc0de
const DATA_VERSION = 2
const MIN_PAGE_BYTES = 256
const MAX_PAGE_BYTES = 65_536
const NO_PAGE = 0xffff_ffff_ffff_ffffn
/** More levels than any file has. */
const MAX_DEPTH = 32

/** Where the header of a page has the transaction that wrote it. */
export const PAGE_AGE = 8
export const PAGE = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 }
export const NODE = { long: 0x01, tree: 0x02 }
/** The flags of trees: keys of the free list are numbers, all others are bytes. */
const TREE = { free: 0x08, bytes: 0 }

/** What is wrong, the end of a sentence. */
export class Damage extends Error {}

/** What the file says of a tree. */
export interface TreeRecord {
  root: number | undefined
  depth: number
  branchPages: number
  leafPages: number
  longPages: number
  entries: number
}
export interface Meta {
  pageBytes: number
  lastPage: number
  transaction: number
  free: TreeRecord
  main: TreeRecord
}

/** A number of eight bytes. Those that any file has are exact. */
export const numberAt = (bytes: Buffer, at: number): number =>
  bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32

export const treeAt = (bytes: Buffer, at: number, name: string, isFreeList = false): TreeRecord => {
  const depth = bytes.readUInt16LE(at + 6)
  const root = bytes.readBigUInt64LE(at + 40)
  if (depth > MAX_DEPTH) throw new Damage(`${name} has ${depth} levels`)
  if (bytes.readUInt16LE(at + 4) !== (isFreeList ? TREE.free : TREE.bytes))
    throw new Damage(`${name} has keys of another kind`)
  return {
    depth,
    root: root === NO_PAGE ? undefined : Number(root),
    branchPages: numberAt(bytes, at + 8),
    leafPages: numberAt(bytes, at + 16),
    longPages: numberAt(bytes, at + 24),
    entries: numberAt(bytes, at + 32),
  }
}

export const FREE_LIST = 'the list of free pages'
export const TABLE_LIST = 'the list of tables'

const metaAt = (bytes: Buffer, page: number): Meta => {
  const name = `meta page ${page}`
  const [magic, version] = [bytes.readUInt32LE(META.magic), bytes.readUInt32LE(META.version) & 0xffff]
  if (magic !== MAGIC || (bytes.readUInt16LE(18) & PAGE.meta) === 0)
    throw new Damage(`${name} is none of a store`)
  if (version !== DATA_VERSION) throw new Damage(`${name} has version ${version}, not ${DATA_VERSION}`)
  const pageBytes = bytes.readUInt32LE(META.freeTree)
  if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES || (pageBytes & (pageBytes - 1)) !== 0) {
    throw new Damage(`${name} says that pages have ${pageBytes} bytes`)
  }
  return {
    pageBytes,
    lastPage: numberAt(bytes, META.lastPage),
    transaction: numberAt(bytes, META.transaction),
    free: treeAt(bytes, META.freeTree, FREE_LIST, true),
    main: treeAt(bytes, META.mainTree, TABLE_LIST),
  }
}

/** Undefined where the file ends before; a damaged number may be more than any place is. */
export const readAt = (handle: number, at: number, into: Buffer): Buffer | undefined =>
  Number.isSafeInteger(at) && readSync(handle, into, 0, into.length, at) === into.length ? into : undefined

/**
 * Both meta pages. Transactions write them in turn, so their numbers follow each other, and the even ones are
 * written to the first.
 */
export const metasOf = (handle: number, fileBytes: number): { newest: Meta; former: Meta } => {
  const first = readAt(handle, 0, Buffer.alloc(META.end))
  if (!first) throw new Damage(fileBytes === 0 ? 'it is empty' : `it is cut short, at ${fileBytes} bytes`)
  const { pageBytes } = metaAt(first, 0)
  // Both at once: where a process writes to the file they are of one moment.
  const both = readAt(handle, 0, Buffer.alloc(pageBytes + META.end))
  if (!both) throw new Damage(`it is cut short, at ${fileBytes} bytes`)
  const one = metaAt(both, 0)
  const other = metaAt(both.subarray(pageBytes), 1)
  const difference = one.transaction - other.transaction
  if (other.pageBytes !== one.pageBytes || one.transaction % 2 !== 0 || Math.abs(difference) !== 1)
    throw new Damage('its two meta pages contradict each other')
  return difference > 0 ? { newest: one, former: other } : { newest: other, former: one }
}

/**
 * Whether a meta page is as old as what it leads to: every transaction writes the root of the list of free pages anew. One that
 * is younger would be read as the newest, and one that is older as not the newest, and a commit would be gone.
 */
export const hasOwnAge = (handle: number, { free, pageBytes, transaction }: Meta): boolean => {
  if (free.root === undefined) return true
  const header = readAt(handle, free.root * pageBytes, Buffer.alloc(PAGE_HEADER_BYTES))
  return header !== undefined && numberAt(header, PAGE_AGE) === transaction
}
