/** A map that forgets what was put first when it grows beyond `size`. */
export const createBoundedMap = <V>(size: number) => {
  const items = new Map<string, V>()
  return {
    get: (key: string): V | undefined => items.get(key),
    put(key: string, value: V): void {
      // Looking up is cheaper than moving, and most of what is put is there already.
      if (items.get(key) === value) return
      items.delete(key)
      items.set(key, value)
      if (items.size <= size) return
      for (const oldest of items.keys()) {
        items.delete(oldest)
        return
      }
    },
    remove: (key: string): boolean => items.delete(key),
  }
}
