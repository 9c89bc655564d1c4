/**
 * Reads the file of an LMDB store as the engine would, before the engine maps it: what is cut short or damaged ends the
 * process there (SIGBUS, SIGSEGV, an assertion), here it is a sentence.
 *
 * Looked at: both meta pages; every page that the newest one leads to (its own number, kind, bounds, the place of every
 * node in it, the reach of its children and of long values); the lists of free pages, which must not name a page in use.
 * Not looked at: whether keys and values are what was written. The layout is that of the lmdb package: `mdb.c`, 64 bit,
 * little endian, data version 2, offsets within a page counted from the end of its header.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const META_PAGES = 2
const PAGE_HEADER_BYTES = 24
const NODE_HEADER_BYTES = 8
const LONG_VALUE_BYTES = 24
const TREE_BYTES = 48
/** Where a meta page has its members, from the beginning of the page. */
const META = { magic: 24, version: 28, freeTree: 48, mainTree: 96, lastPage: 144, transaction: 152, end: 168 }
const MAGIC = 0xbeefc0de
const DATA_VERSION = 2
const MIN_PAGE_BYTES = 256
const MAX_PAGE_BYTES = 65_536
const NO_PAGE = 0xffff_ffff_ffff_ffffn
/** More levels than any file has. */
const MAX_DEPTH = 32
/** Pages between two looks at the clock. */
const PAGES_PER_SLICE = 2_000

const PAGE = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08, fixed: 0x20 }
const NODE = { long: 0x01, tree: 0x02, duplicates: 0x04 }

export interface FileCheck {
  /** What is wrong, the end of a sentence; undefined when nothing is. */
  damage: string | undefined
  pages: number
  /** False when the time was over before everything was looked at. */
  isComplete: boolean
}

class Damage extends Error {}

interface Tree {
  root: number | undefined
  depth: number
}
interface Meta {
  pageBytes: number
  lastPage: number
  transaction: bigint
  free: Tree
  main: Tree
}
interface Visit {
  page: number
  /** Levels below this page, itself included. */
  depth: number
  isFreeList: boolean
}

const pageNumber = (value: bigint): number => {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Damage(`a page number is ${value}`)
  return Number(value)
}

const treeAt = (bytes: Buffer, at: number): Tree => {
  const depth = bytes.readUInt16LE(at + 6)
  const root = bytes.readBigUInt64LE(at + 40)
  if (depth > MAX_DEPTH) throw new Damage(`a tree has ${depth} levels`)
  return { depth, root: root === NO_PAGE ? undefined : pageNumber(root) }
}

const metaAt = (bytes: Buffer, name: string): Meta => {
  const [magic, version] = [bytes.readUInt32LE(META.magic), bytes.readUInt32LE(META.version) & 0xffff]
  if (magic !== MAGIC) throw new Damage(`${name} is no meta page of a store`)
  if (version !== DATA_VERSION) throw new Damage(`${name} has version ${version}, not ${DATA_VERSION}`)
  const pageBytes = bytes.readUInt32LE(META.freeTree)
  if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES || (pageBytes & (pageBytes - 1)) !== 0) {
    throw new Damage(`${name} says that pages have ${pageBytes} bytes`)
  }
  return {
    pageBytes,
    lastPage: pageNumber(bytes.readBigUInt64LE(META.lastPage)),
    transaction: bytes.readBigUInt64LE(META.transaction),
    free: treeAt(bytes, META.freeTree),
    main: treeAt(bytes, META.mainTree),
  }
}

const read = (handle: number, at: number, into: Buffer): Buffer | undefined =>
  readSync(handle, into, 0, into.length, at) === into.length ? into : undefined

const newestMeta = (handle: number, fileBytes: number): Meta => {
  const first = read(handle, 0, Buffer.alloc(META.end))
  if (!first) throw new Damage(fileBytes === 0 ? 'it is empty' : `it is cut short, at ${fileBytes} bytes`)
  const one = metaAt(first, 'page 0')
  const second = read(handle, one.pageBytes, Buffer.alloc(META.end))
  if (!second) throw new Damage(`it is cut short, at ${fileBytes} bytes`)
  const other = metaAt(second, 'page 1')
  if (other.pageBytes !== one.pageBytes) throw new Damage('its two meta pages contradict each other')
  return one.transaction >= other.transaction ? one : other
}

/** What one page leads to. */
type Found = (visit: Visit) => void

const openWalk = (handle: number, fileBytes: number, meta: Meta) => {
  const { pageBytes, lastPage } = meta
  // The file may be shorter than its number of pages says, when the last ones are free.
  const filePages = Math.min(lastPage + 1, Math.ceil(fileBytes / pageBytes))
  const inUse = new Uint8Array(Math.ceil(filePages / 8))
  /** By the lists of free pages: from, length. */
  const free: [from: number, length: number][] = []
  const pages = META_PAGES
  const treePage = Buffer.alloc(pageBytes)
  const longHeader = Buffer.alloc(PAGE_HEADER_BYTES)
  return { handle, fileBytes, meta, pageBytes, lastPage, filePages, inUse, free, pages, treePage, longHeader }
}
type Walk = ReturnType<typeof openWalk>

const isInUse = (walk: Walk, page: number) => ((walk.inUse[page >> 3] ?? 0) & (1 << (page & 7))) !== 0

const use = (walk: Walk, from: number, length: number, parent: string): void => {
  if (from < META_PAGES || from + length - 1 > walk.lastPage) {
    throw new Damage(`${parent} leads to page ${from}, which there cannot be`)
  }
  if ((from + length) * walk.pageBytes > walk.fileBytes) {
    throw new Damage(`it is cut short: it has ${walk.fileBytes} bytes, and page ${from} is behind its end`)
  }
  for (let page = from; page < from + length; page++) {
    if (isInUse(walk, page)) throw new Damage(`page ${page} is used twice`)
    walk.inUse[page >> 3] = (walk.inUse[page >> 3] ?? 0) | (1 << (page & 7))
  }
  walk.pages += length
}

const pageAt = (walk: Walk, page: number, into: Buffer): Buffer => {
  const bytes = read(walk.handle, page * walk.pageBytes, into)
  if (!bytes) throw new Damage(`page ${page} cannot be read`)
  if (bytes.readBigUInt64LE(0) !== BigInt(page))
    throw new Damage(`page ${page} is not the page of that number`)
  return bytes
}

/** Entries: the number of a page, or minus the length of a run and then its first page; 0 is none. */
const addFreeList = (walk: Walk, list: Buffer, page: number): void => {
  const wrong = new Damage(`page ${page} holds a list of free pages that is none`)
  if (list.length < 8) throw wrong
  const count = Number(list.readBigInt64LE(0))
  if (count < 0 || 8 + count * 8 > list.length) throw wrong
  for (let at = 1; at <= count; at++) {
    const entry = Number(list.readBigInt64LE(at * 8))
    if (entry === 0) continue
    if (entry < 0) at += 1
    const from = entry < 0 && at <= count ? Number(list.readBigInt64LE(at * 8)) : entry
    const length = entry < 0 ? -entry : 1
    if (from < META_PAGES || from + length - 1 > walk.lastPage) throw wrong
    walk.free.push([from, length])
  }
}

const longValue = (
  walk: Walk,
  bytes: Buffer,
  at: number,
  length: number,
  page: number,
  isFreeList: boolean,
): void => {
  const from = pageNumber(bytes.readBigUInt64LE(at))
  const count = Math.floor((PAGE_HEADER_BYTES - 1 + length) / walk.pageBytes) + 1
  use(walk, from, count, `page ${page}`)
  const header = pageAt(walk, from, isFreeList ? Buffer.alloc(PAGE_HEADER_BYTES + length) : walk.longHeader)
  if ((header.readUInt16LE(18) & PAGE.overflow) === 0) throw new Damage(`page ${from} holds no long value`)
  if (header.readUInt32LE(20) < count) throw new Damage(`the value that begins at page ${from} is cut short`)
  if (isFreeList) addFreeList(walk, header.subarray(PAGE_HEADER_BYTES), page)
}

const leafNode = (walk: Walk, bytes: Buffer, at: number, { page, isFreeList }: Visit, found: Found): void => {
  const length = bytes.readUInt32LE(at)
  const flags = bytes.readUInt16LE(at + 4)
  const value = at + NODE_HEADER_BYTES + bytes.readUInt16LE(at + 6)
  const kept = (flags & NODE.long) !== 0 ? LONG_VALUE_BYTES : length
  if (value + kept > walk.pageBytes) throw new Damage(`page ${page} holds a value that reaches beyond it`)
  if ((flags & NODE.long) !== 0) longValue(walk, bytes, value, length, page, isFreeList)
  else if ((flags & NODE.tree) !== 0) {
    if (length !== TREE_BYTES) throw new Damage(`page ${page} holds a table that is none`)
    const { root, depth } = treeAt(bytes, value)
    if (root !== undefined) found({ page: root, depth, isFreeList: false })
  } else if (isFreeList) addFreeList(walk, bytes.subarray(value, value + length), page)
}

const visit = (walk: Walk, one: Visit, parent: string, found: Found): void => {
  const { page, depth, isFreeList } = one
  use(walk, page, 1, parent)
  const bytes = pageAt(walk, page, walk.treePage)
  const flags = bytes.readUInt16LE(18)
  const isBranch = (flags & PAGE.branch) !== 0
  if ((flags & (PAGE.overflow | PAGE.meta)) !== 0 || isBranch === ((flags & PAGE.leaf) !== 0)) {
    throw new Damage(`page ${page} is neither a branch nor a leaf`)
  }
  if (isBranch !== depth > 1) throw new Damage(`page ${page} is on the wrong level`)
  const [lower, upper] = [bytes.readUInt16LE(20), bytes.readUInt16LE(22)]
  if (lower > upper || upper > walk.pageBytes - PAGE_HEADER_BYTES || lower % 2 !== 0) {
    throw new Damage(`page ${page} has bounds that cannot be`)
  }
  const count = lower / 2
  if (isBranch && count === 0) throw new Damage(`page ${page} is a branch without children`)
  if ((flags & PAGE.fixed) !== 0) return
  for (let index = 0; index < count; index++) {
    const offset = bytes.readUInt16LE(PAGE_HEADER_BYTES + index * 2)
    const at = offset + PAGE_HEADER_BYTES
    if (offset < upper || at + NODE_HEADER_BYTES > walk.pageBytes) {
      throw new Damage(`page ${page} has a node outside of it`)
    }
    if (at + NODE_HEADER_BYTES + bytes.readUInt16LE(at + 6) > walk.pageBytes) {
      throw new Damage(`page ${page} holds a key that reaches beyond it`)
    }
    if (isBranch) {
      const child = bytes.readUInt32LE(at) + bytes.readUInt16LE(at + 4) * 2 ** 32
      found({ page: child, depth: depth - 1, isFreeList })
    } else leafNode(walk, bytes, at, one, found)
  }
}

/** Throws when a page that the lists call free is in use. */
const checkFree = (walk: Walk): void => {
  for (const [from, length] of walk.free) {
    for (let page = from; page < Math.min(from + length, walk.filePages); page++) {
      if (isInUse(walk, page)) throw new Damage(`page ${page} is in use and called free`)
    }
  }
}

const walkAll = async (
  handle: number,
  fileBytes: number,
  { meta, deadline, now }: { meta: Meta; deadline: number; now: () => number },
): Promise<Omit<FileCheck, 'damage'>> => {
  const walk = openWalk(handle, fileBytes, meta)
  const waiting: Visit[] = []
  for (const [tree, isFreeList] of [
    [meta.main, false],
    [meta.free, true],
  ] as const) {
    if (tree.root !== undefined) waiting.push({ page: tree.root, depth: tree.depth, isFreeList })
  }
  const found = (visit: Visit) => void waiting.push(visit)
  for (let visited = 1; ; visited++) {
    const next = waiting.pop()
    if (!next) break
    visit(walk, next, 'a page', found)
    if (visited % PAGES_PER_SLICE !== 0) continue
    if (now() > deadline) return { pages: walk.pages, isComplete: false }
    await new Promise((resolve) => setImmediate(resolve))
  }
  checkFree(walk)
  return { pages: walk.pages, isComplete: true }
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
  let meta: Meta | undefined
  try {
    meta = newestMeta(handle, fileBytes)
    return {
      damage: undefined,
      ...(await walkAll(handle, fileBytes, { meta, deadline: now() + timeoutMs, now })),
    }
  } catch (error) {
    if (!(error instanceof Damage)) throw error
    const isWritten = meta !== undefined && hasMoved(handle, fileBytes, meta)
    return { damage: isWritten ? undefined : error.message, pages: 0, isComplete: !isWritten }
  } finally {
    closeSync(handle)
  }
}

/** Whether a process has committed since. */
const hasMoved = (handle: number, fileBytes: number, { transaction }: Meta): boolean => {
  try {
    return newestMeta(handle, fileBytes).transaction !== transaction
  } catch {
    return false
  }
}
