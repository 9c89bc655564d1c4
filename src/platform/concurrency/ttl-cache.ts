/**
 * A cache of answers that are valid for a while. Callers that ask at the same time share one look-up. The number of
 * entries is bounded, and a failure is never cached.
 */
import type { Clock } from '../runtime/clock.ts'
import { createBoundedMap } from './bounded-map.ts'

export interface TtlCacheOptions<T> {
  ttlMs: number
  /** So many of the newest entries are remembered; there are never more than twice as many. */
  entries: number
  /** Which answers are cached. Default: all. */
  isCacheable?: (answer: T) => boolean
}

/** Returns the cached answer of that name, else what `find` finds. An answer is as old as its look-up. */
export type TtlCache<T> = (name: string, find: () => Promise<T>) => Promise<T>

export const createTtlCache = <T>({ clock }: { clock: Clock }, options: TtlCacheOptions<T>): TtlCache<T> => {
  const { ttlMs, isCacheable = () => true } = options
  const entries = createBoundedMap<{ expiresAt: number; answer: Promise<T> }>(options.entries)

  return (name, find) => {
    const now = clock.now()
    const cached = entries.get(name)
    if (cached && cached.expiresAt > now) return cached.answer
    const answer = find()
    const entry = { expiresAt: now + ttlMs, answer }
    entries.put(name, entry)
    const forget = () => {
      if (entries.get(name) === entry) entries.remove(name)
    }
    answer.then((found) => isCacheable(found) || forget(), forget)
    return answer
  }
}
