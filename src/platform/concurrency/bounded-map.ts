export interface BoundedMap<V> {
  get(key: string): V | undefined
  put(key: string, value: V): void
  remove(key: string): boolean
  /** All that it has; a walk over as many. */
  entries(): Iterable<[string, V]>
}

/**
 * A map that has at least the `entries` that were put last, and never more than twice as many. It forgets a whole generation
 * at once: a `Map` whose oldest entry is removed again and again walks over all that were removed before it.
 */
export const createBoundedMap = <V>(entries: number): BoundedMap<V> => {
  let young = new Map<string, V>()
  let old = new Map<string, V>()
  return {
    get: (key) => young.get(key) ?? old.get(key),
    put(key, value) {
      young.set(key, value)
      if (young.size < entries) return
      old = young
      young = new Map()
    },
    *entries() {
      yield* young
      for (const [key, value] of old) if (!young.has(key)) yield [key, value]
    },
    remove(key) {
      const wasOld = old.delete(key)
      return young.delete(key) || wasOld
    },
  }
}
