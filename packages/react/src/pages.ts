/** Pages that are read one after the other, as one list that grows. Knows no React. */

export interface Pages<T> {
  items: readonly T[]
  hasMore: boolean
  isLoading: boolean
  /** Why the last page could not be read; `more` tries again. */
  error: unknown
}

export const EMPTY: Pages<never> = { items: [], hasMore: false, isLoading: false, error: undefined }

export const createPages = <T>(
  read: (items: readonly T[]) => Promise<{ items: readonly T[]; hasMore: boolean }>,
) => {
  const listeners = new Set<() => void>()
  let snapshot: Pages<T> = { ...EMPTY, hasMore: true }
  const set = (changed: Partial<Pages<T>>) => {
    snapshot = { ...snapshot, ...changed }
    for (const listener of listeners) listener()
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
        set({ items: [...snapshot.items, ...items], hasMore, isLoading: false })
      } catch (error) {
        set({ error, isLoading: false })
      }
    },
    change: (next: (items: readonly T[]) => readonly T[]) => set({ items: next(snapshot.items) }),
  }
}
