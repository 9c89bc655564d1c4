/**
 * A cache of answers that are valid for a while. Callers that ask at the same time share one look-up. The number of
 * entries is bounded, and a failure is never cached.
 */
import type { Clock } from '../runtime/clock.ts'

export interface TtlCacheOptions<T> {
  ttlMs: number
  /** Beyond it the oldest entry is removed. */
  maxEntries: number
  /** Which answers are cached. Default: all. */
  isCacheable?: (answer: T) => boolean
}

/** Returns the cached answer of that name, else what `find` finds. An answer is as old as its look-up. */
export type TtlCache<T> = (name: string, find: () => Promise<T>) => Promise<T>

export const createTtlCache = <T>({ clock }: { clock: Clock }, options: TtlCacheOptions<T>): TtlCache<T> => {
  const { ttlMs, maxEntries, isCacheable = () => true } = options
  const entries = new Map<string, { expiresAt: number; answer: Promise<T> }>()

  return (name, find) => {
    const now = clock.now()
    const cached = entries.get(name)
    if (cached && cached.expiresAt > now) return cached.answer
    entries.delete(name)
    const answer = find()
    const entry = { expiresAt: now + ttlMs, answer }
    entries.set(name, entry)
    if (entries.size > maxEntries) {
      const [oldest] = entries.keys()
      if (oldest !== undefined) entries.delete(oldest)
    }
    const forget = () => {
      if (entries.get(name) === entry) entries.delete(name)
    }
    answer.then((found) => isCacheable(found) || forget(), forget)
    return answer
  }
}
