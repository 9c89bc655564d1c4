/**
 * What this process knows of keys of which few have anything in the store. An answer is relied upon for ten seconds, because
 * word of a change may be lost, and forgotten when it comes. While no key at all has anything, nothing is looked up.
 */
import type { Clock } from '../runtime/clock.ts'
import { createBoundedMap } from './bounded-map.ts'

const TTL_MS = 10_000

export interface SparseCache<V> extends Disposable {
  /** True when it is known that no key has anything. */
  isEmpty(): boolean
  /** True when it is known that this key has nothing. */
  isWithout(key: string, now: number): boolean
  /** Whether any key has something. */
  hasAny(): Promise<boolean>
  /** Those of the keys that have something. */
  among(keys: Iterable<string>): Promise<Map<string, V>>
}

export interface SparseSource<V> {
  hasAny(now: number): Promise<boolean>
  /** Those of the keys that have something. */
  read(keys: readonly string[], now: number): Promise<Map<string, V>>
  /** Calls the listener when what a key has may have changed. */
  onChange(listener: (key: string) => void): Disposable
}

/** `with`, `without`: how many keys are remembered that have something, and that have nothing; up to twice as many. */
export const createSparseCache = <V>(
  source: SparseSource<V>,
  { clock }: { clock: Clock },
  entries: { with: number; without: number },
): SparseCache<V> => {
  const cached = createBoundedMap<{ value: V; goodUntil: number }>(entries.with)
  /** Until when it is known that a key has nothing. */
  const without = createBoundedMap<number>(entries.without)
  const unknown = { has: true, goodUntil: 0 }
  let any = unknown
  /** Grows with every change, so that what was read before it is not relied upon. */
  let revision = 0

  const listening = source.onChange((key) => {
    revision++
    any = unknown
    cached.remove(key)
    without.remove(key)
  })

  const hasAny = async (): Promise<boolean> => {
    const now = clock.now()
    if (now < any.goodUntil) return any.has
    const readAt = revision
    const has = await source.hasAny(now)
    if (revision === readAt) any = { has, goodUntil: now + TTL_MS }
    return has
  }

  const read = async (keys: readonly string[], now: number): Promise<Map<string, V>> => {
    const readAt = revision
    const found = await source.read(keys, now)
    if (revision !== readAt) return found
    const goodUntil = now + TTL_MS
    for (const key of keys) {
      const value = found.get(key)
      if (value === undefined) without.put(key, goodUntil)
      else cached.put(key, { value, goodUntil })
    }
    return found
  }

  const isWithout = (key: string, now: number) => (without.get(key) ?? 0) > now

  return {
    isEmpty: () => !any.has && clock.now() < any.goodUntil,
    isWithout,
    hasAny,
    async among(keys) {
      const found = new Map<string, V>()
      if (!(await hasAny())) return found
      const now = clock.now()
      const unread: string[] = []
      for (const key of new Set(keys)) {
        const known = cached.get(key)
        if (known && known.goodUntil > now) found.set(key, known.value)
        else if (!isWithout(key, now)) unread.push(key)
      }
      if (unread.length > 0) for (const [key, value] of await read(unread, now)) found.set(key, value)
      return found
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}
