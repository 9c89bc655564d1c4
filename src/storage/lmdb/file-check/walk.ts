/** Goes over the pages of a store's file, tree by tree, and marks those that are in use. */
import { rowSeed } from '../row-codec.ts'
import { addFreeList, type FreeRun } from './free-pages.ts'
import {
  Damage,
  LONG_VALUE_BYTES,
  META_PAGES,
  type Meta,
  NODE,
  NODE_HEADER_BYTES,
  numberAt,
  PAGE,
  PAGE_AGE,
  PAGE_HEADER_BYTES,
  readAt,
  TREE_BYTES,
  type TreeRecord,
  treeAt,
} from './layout.ts'
import { checkRow, type Place, type Repair } from './rows.ts'

/** A tree of the file, and what of it has been seen. */
export interface Tree {
  /** For sentences: the table X. */
  title: string
  kind: 'tables' | 'free pages' | 'rows'
  record: TreeRecord
  /** What the checksums of its rows begin with; undefined for rows without one. */
  seed: number | undefined
  seen: Omit<TreeRecord, 'root' | 'depth'>
}

export const openTree = (title: string, kind: Tree['kind'], record: TreeRecord, seed?: number): Tree => ({
  ...{ title, kind, record, seed },
  seen: { branchPages: 0, leafPages: 0, longPages: 0, entries: 0 },
})

export const openTable = (name: string, record: TreeRecord, hasChecksums: boolean): Tree =>
  openTree(`the table ${name}`, 'rows', record, hasChecksums ? rowSeed(name) : undefined)

/** A page to look at. All keys below it lie in the bounds, the upper one excluded. */
interface Visit {
  page: number
  /** Levels below this page, itself included. */
  depth: number
  from: Buffer | undefined
  to: Buffer | undefined
}

/** What is found in leaves. */
interface Found {
  table(name: string, record: TreeRecord): void
  /** Of a row without a checksum. */
  row(tree: Tree, key: Buffer, value: Buffer): void
}

export const openWalk = (handle: number, fileBytes: number, meta: Meta) => {
  const { pageBytes, lastPage } = meta
  // The file may be shorter than its number of pages says, when the last ones are free.
  const filePages = Math.min(lastPage + 1, Math.ceil(fileBytes / pageBytes))
  const inUse = new Uint8Array(Math.ceil(filePages / 8))
  const free: FreeRun[] = []
  const repairs: Repair[] = []
  const pages = META_PAGES
  const treePage = Buffer.alloc(pageBytes)
  const longHeader = Buffer.alloc(PAGE_HEADER_BYTES)
  return {
    ...{ handle, fileBytes, meta, pageBytes, lastPage, filePages },
    ...{ inUse, free, repairs, pages, treePage, longHeader },
  }
}
export type Walk = ReturnType<typeof openWalk>

export const isInUse = (walk: Walk, page: number) => ((walk.inUse[page >> 3] ?? 0) & (1 << (page & 7))) !== 0

const use = (walk: Walk, from: number, length: number, parent: string): void => {
  if (from < META_PAGES || from + length - 1 > walk.lastPage) {
    throw new Damage(`${parent} leads to page ${from}, which there cannot be`)
  }
  if ((from + length) * walk.pageBytes > walk.fileBytes) {
    throw new Damage(`it is cut short: it has ${walk.fileBytes} bytes, and page ${from} is behind its end`)
  }
  for (let page = from; page < from + length; page++) {
    if (isInUse(walk, page)) throw new Damage(`page ${page} of ${parent} is used twice`)
    walk.inUse[page >> 3] = (walk.inUse[page >> 3] ?? 0) | (1 << (page & 7))
  }
  walk.pages += length
}

const pageAt = (walk: Walk, { title }: Tree, page: number, into: Buffer): Buffer => {
  const bytes = readAt(walk.handle, page * walk.pageBytes, into)
  if (!bytes) throw new Damage(`page ${page} of ${title} cannot be read`)
  if (numberAt(bytes, 0) !== page) throw new Damage(`page ${page} of ${title} is not the page of that number`)
  // The engine would take it for a page that it may write to where it is.
  if (numberAt(bytes, PAGE_AGE) > walk.meta.transaction)
    throw new Damage(`page ${page} of ${title} is from a transaction that was not yet`)
  return bytes
}

/** Where the order of the engine has one key before the other. */
const isBefore = (tree: Tree, a: Place, b: Place): boolean =>
  tree.kind === 'free pages'
    ? numberAt(a.bytes, a.at) < numberAt(b.bytes, b.at)
    : a.bytes.compare(b.bytes, b.at, b.end, a.at, a.end) < 0

const wholeOf = (bytes: Buffer, fileAt = 0): Place => ({ bytes, at: 0, end: bytes.length, fileAt })

/** The bytes of a value that has pages of its own. */
const longValue = (walk: Walk, tree: Tree, bytes: Buffer, at: number, length: number): Place => {
  const from = numberAt(bytes, at)
  const count = numberAt(bytes, at + 16)
  const least = Math.floor((PAGE_HEADER_BYTES - 1 + length) / walk.pageBytes) + 1
  if (count < least) throw new Damage(`a value of ${tree.title}, at page ${from}, is cut short`)
  use(walk, from, count, tree.title)
  tree.seen.longPages += count
  const header = pageAt(walk, tree, from, walk.longHeader)
  if (header.readUInt16LE(18) !== PAGE.overflow || header.readUInt32LE(20) !== count)
    throw new Damage(`page ${from} of ${tree.title} holds no long value`)
  const value = Buffer.allocUnsafe(length)
  if (!readAt(walk.handle, from * walk.pageBytes + PAGE_HEADER_BYTES, value))
    throw new Damage(`a value of ${tree.title}, at page ${from}, cannot be read`)
  return wholeOf(value, from * walk.pageBytes + PAGE_HEADER_BYTES)
}

/** Returns the bytes that the node takes. */
const leafNode = (walk: Walk, tree: Tree, at: number, key: Place, found: Found): number => {
  const { bytes } = key
  const length = bytes.readUInt32LE(at)
  const flags = bytes.readUInt16LE(at + 4)
  const isLong = flags === NODE.long && tree.kind !== 'tables'
  if (!isLong && flags !== (tree.kind === 'tables' ? NODE.tree : 0))
    throw new Damage(`a row of ${tree.title} is of another kind`)
  const kept = isLong ? LONG_VALUE_BYTES : length
  if (key.end + kept > walk.pageBytes) throw new Damage(`a row of ${tree.title} reaches beyond its page`)
  tree.seen.entries += 1
  const value = isLong
    ? longValue(walk, tree, bytes, key.end, length)
    : { ...key, at: key.end, end: key.end + kept }
  if (tree.kind === 'tables') {
    // The engine has a zero byte behind each name.
    const name = bytes.toString('utf8', key.at, key.end - 1)
    if (length !== TREE_BYTES) throw new Damage(`the table ${name} is none`)
    found.table(name, treeAt(bytes, value.at, `the table ${name}`))
  } else if (tree.kind === 'free pages') {
    addFreeList(value.bytes.subarray(value.at, value.end), walk.lastPage, walk.free)
  } else if (tree.seed !== undefined) {
    checkRow(tree.title, tree.seed, { key, value }, walk.repairs)
  } else {
    found.row(tree, bytes.subarray(key.at, key.end), value.bytes.subarray(value.at, value.end))
  }
  return key.end + kept - at
}

/** Looks at the header of a page; answers its bounds. */
const bodyOf = (walk: Walk, tree: Tree, { page, depth }: Visit, bytes: Buffer) => {
  const place = `page ${page} of ${tree.title}`
  const flags = bytes.readUInt16LE(18)
  const isBranch = flags === PAGE.branch
  if (!isBranch && flags !== PAGE.leaf) throw new Damage(`${place} is neither a branch nor a leaf`)
  if (isBranch ? depth <= 1 : depth !== 1) throw new Damage(`${place} is on the wrong level`)
  const [lower, upper] = [bytes.readUInt16LE(20), bytes.readUInt16LE(22)]
  if (lower > upper || upper > walk.pageBytes - PAGE_HEADER_BYTES || lower % 2 !== 0) {
    throw new Damage(`${place} has bounds that cannot be`)
  }
  if (lower === 0) throw new Damage(`${place} is empty`)
  return { place, isBranch, upper, count: lower / 2 }
}

/** Looks at one page, and answers its children, the first one last. */
const visit = (walk: Walk, tree: Tree, one: Visit, found: Found): Visit[] => {
  use(walk, one.page, 1, tree.title)
  const bytes = pageAt(walk, tree, one.page, walk.treePage)
  const { place, isBranch, upper, count } = bodyOf(walk, tree, one, bytes)
  tree.seen[isBranch ? 'branchPages' : 'leafPages'] += 1
  const children: Visit[] = []
  let before = one.from && wholeOf(one.from)
  let taken = 0
  for (let index = 0; index < count; index++) {
    const offset = bytes.readUInt16LE(PAGE_HEADER_BYTES + index * 2)
    const at = offset + PAGE_HEADER_BYTES
    if (offset < upper || offset % 2 !== 0 || at + NODE_HEADER_BYTES > walk.pageBytes)
      throw new Damage(`${place} has a node outside of it`)
    const key: Place = { bytes, at: at + NODE_HEADER_BYTES, end: 0, fileAt: one.page * walk.pageBytes }
    key.end = key.at + bytes.readUInt16LE(at + 6)
    if (key.end > walk.pageBytes) throw new Damage(`${place} holds a key that reaches beyond it`)
    // First, because a row that is repaired may get another key.
    taken += ((isBranch ? key.end - at : leafNode(walk, tree, at, key, found)) + 1) & ~1
    // The first key of a branch says nothing: the first child has all that lies before the second.
    const isOrdered = isBranch && index === 0
    if (!isOrdered) {
      if (tree.kind === 'free pages' && key.end - key.at !== 8)
        throw new Damage(`${place} holds a key that is none`)
      const isFirst = index === 0 || (isBranch && index === 1)
      if (before && (isFirst ? isBefore(tree, key, before) : !isBefore(tree, before, key)))
        throw new Damage(`${place} has its keys in another order`)
      before = key
    }
    if (isBranch) {
      const child = bytes.readUInt32LE(at) + bytes.readUInt16LE(at + 4) * 2 ** 32
      const from = isOrdered ? one.from : Buffer.from(bytes.subarray(key.at, key.end))
      const last = children.at(-1)
      if (last) last.to = from
      children.push({ page: child, depth: one.depth - 1, from, to: one.to })
    }
  }
  if (before && one.to && !isBefore(tree, before, wholeOf(one.to)))
    throw new Damage(`${place} has a key of another page`)
  if (taken !== walk.pageBytes - PAGE_HEADER_BYTES - upper)
    throw new Damage(`${place} has nodes that overlap`)
  return children.reverse()
}

/** Pages between two looks at the clock. */
const PAGES_PER_SLICE = 2_000

/** Goes over a tree. False when the time was over before its end. */
export const walkTree = async (
  walk: Walk,
  tree: Tree,
  { found, isOver }: { found: Found; isOver: () => boolean },
): Promise<boolean> => {
  const { root, depth, ...counted } = tree.record
  const waiting: Visit[] = root === undefined ? [] : [{ page: root, depth, from: undefined, to: undefined }]
  for (let visited = 1; ; visited++) {
    const next = waiting.pop()
    if (!next) break
    waiting.push(...visit(walk, tree, next, found))
    if (visited % PAGES_PER_SLICE !== 0) continue
    if (isOver()) return false
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const what of ['branchPages', 'leafPages', 'longPages', 'entries'] as const) {
    if (counted[what] !== tree.seen[what]) throw new Damage(`${tree.title} has other rows than were counted`)
  }
  return true
}
