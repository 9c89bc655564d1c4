/** The lists of pages that a store's file has and does not use. */
import { Damage, FREE_LIST, META_PAGES } from './layout.ts'

export type FreeRun = [from: number, length: number]

/** Entries: the number of a page, or minus the length of a run and then its first page; 0 is none. */
export const addFreeList = (list: Buffer, lastPage: number, into: FreeRun[]): void => {
  const wrong = new Damage(`${FREE_LIST} has an entry that is none`)
  if (list.length < 8) throw wrong
  const count = Number(list.readBigInt64LE(0))
  if (count < 0 || 8 + count * 8 > list.length) throw wrong
  for (let at = 1; at <= count; at++) {
    const entry = Number(list.readBigInt64LE(at * 8))
    if (entry === 0) continue
    if (entry < 0) at += 1
    const from = entry < 0 && at <= count ? Number(list.readBigInt64LE(at * 8)) : entry
    const length = entry < 0 ? -entry : 1
    if (from < META_PAGES || from + length - 1 > lastPage) throw wrong
    into.push([from, length])
  }
}

/** Throws when a page is called free that is in use, or twice; or is neither in use nor called free. */
export const checkFree = (
  free: readonly FreeRun[],
  { lastPage, pages, isInUse }: { lastPage: number; pages: number; isInUse: (page: number) => boolean },
): void => {
  // First, so that the number of pages is one that the file accounts for.
  const count = free.reduce((sum, [, length]) => sum + length, 0)
  if (pages + count !== lastPage + 1) throw new Damage(`${FREE_LIST} is not whole`)
  const isFree = new Uint8Array(Math.ceil((lastPage + 1) / 8))
  for (const [from, length] of free) {
    for (let page = from; page < from + length; page++) {
      if (isInUse(page)) throw new Damage(`page ${page} is in use, and in ${FREE_LIST}`)
      const bit = 1 << (page & 7)
      if (((isFree[page >> 3] ?? 0) & bit) !== 0) throw new Damage(`page ${page} is twice in ${FREE_LIST}`)
      isFree[page >> 3] = (isFree[page >> 3] ?? 0) | bit
    }
  }
}
