/** Pages that are read one after the other, as one list that grows. Knows no React. */

export interface Pages<T> {
  items: readonly T[]
  hasMore: boolean
  isLoading: boolean
  /** Why the last page could not be read; `more` tries again. */
  error: unknown
}

export const EMPTY: Pages<never> = { items: [], hasMore: false, isLoading: false, error: undefined }

/** `idOf`: an item that stands in the list already is not put there again. */
export const createPages = <T>(
  idOf: (item: T) => string,
  read: (items: readonly T[]) => Promise<{ items: readonly T[]; hasMore: boolean }>,
) => {
  const listeners = new Set<() => void>()
  let snapshot: Pages<T> = { ...EMPTY, hasMore: true }
  const set = (changed: Partial<Pages<T>>) => {
    snapshot = { ...snapshot, ...changed }
    for (const listener of listeners) listener()
  }
  /** Those of them that are not in the list, which may have grown while they were read. */
  const newOnes = (items: readonly T[]): readonly T[] => {
    const known = new Set(snapshot.items.map(idOf))
    return items.filter((item) => !known.has(idOf(item)))
  }
  return {
    subscribe(listener: () => void): () => void {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    snapshot: () => snapshot,
    /** Reads the next page. A page that is being read is waited for by nobody twice. */
    async more(): Promise<void> {
      if (snapshot.isLoading || !snapshot.hasMore) return
      set({ isLoading: true, error: undefined })
      try {
        const { items, hasMore } = await read(snapshot.items)
        set({ items: [...snapshot.items, ...newOnes(items)], hasMore, isLoading: false })
      } catch (error) {
        set({ error, isLoading: false })
      }
    },
    /** Puts an item in front. */
    add: (item: T) => set({ items: [...newOnes([item]), ...snapshot.items] }),
    change: (next: (items: readonly T[]) => readonly T[]) => set({ items: next(snapshot.items) }),
  }
}
