/**
 * Answers that are good for a while: one question for everybody who asks at the same time, a bounded number of answers, and
 * no failure among them.
 */
import type { Clock } from '../runtime/clock.ts'

export interface TtlCacheOptions<T> {
  milliseconds: number
  /** The oldest go first. */
  most: number
  /** Which answers are kept. Default: all. */
  isWorthIt?: (answer: T) => boolean
}

/** The answer that is kept by that name, else what `find` finds. It is as old as its question. */
export type TtlCache<T> = (name: string, find: () => Promise<T>) => Promise<T>

export const createTtlCache = <T>({ clock }: { clock: Clock }, options: TtlCacheOptions<T>): TtlCache<T> => {
  const { milliseconds, most, isWorthIt = () => true } = options
  const kept = new Map<string, { until: number; answer: Promise<T> }>()

  return (name, find) => {
    const now = clock.now()
    const held = kept.get(name)
    if (held && held.until > now) return held.answer
    kept.delete(name)
    const answer = find()
    const entry = { until: now + milliseconds, answer }
    kept.set(name, entry)
    if (kept.size > most) {
      const [oldest] = kept.keys()
      if (oldest !== undefined) kept.delete(oldest)
    }
    const forget = () => {
      if (kept.get(name) === entry) kept.delete(name)
    }
    answer.then((found) => isWorthIt(found) || forget(), forget)
    return answer
  }
}
