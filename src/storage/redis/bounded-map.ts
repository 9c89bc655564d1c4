export interface BoundedMap<V> {
  get(key: string): V | undefined
  put(key: string, value: V): void
  remove(key: string): boolean
}

/** A map of at most `maxEntries`: beyond it the entry that was put first is removed. */
export const createBoundedMap = <V>(maxEntries: number): BoundedMap<V> => {
  const items = new Map<string, V>()
  return {
    get: (key) => items.get(key),
    put(key, value) {
      // Looking up is cheaper than moving, and most of what is put is there already.
      if (items.get(key) === value) return
      items.delete(key)
      items.set(key, value)
      if (items.size <= maxEntries) return
      for (const oldest of items.keys()) {
        items.delete(oldest)
        return
      }
    },
    remove: (key) => items.delete(key),
  }
}
