/**
 * Token buckets: a burst at once, then so much a second. A bucket is one instant, that at which it will be full again
 * (the generic cell rate algorithm), so it refills evenly and to the millisecond; windows, which the limiter library
 * counts by itself, would give the whole burst again at the end of each window, twice what was agreed on.
 *
 * What is taken is never given back, a refusal takes nothing. A bucket that nobody has named yet is full.
 */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { type BoundedMap, createBoundedMap } from '../concurrency/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'

export interface BucketSize {
  /** Tokens that it holds. */
  burst: number
  /** How long an empty one takes to be full, s. */
  seconds: number
}

export interface Buckets {
  /**
   * Takes `tokens` (1) from each of the named buckets. Answers, in order, 0, or for how many ms it is of no use to ask
   * again; more than a bucket holds are never there. Never rejects because of a store that is away.
   */
  take(names: readonly string[], size: BucketSize, tokens?: number): Promise<number[]>
}

const REMEMBERED_BUCKETS = 100_000

/** When each bucket will be full again, unix ms: of those of one process that were used last. Others are full. */
export const createBucketMemory = (): BoundedMap<number> => createBoundedMap(REMEMBERED_BUCKETS)

/** The library's limiter of one process, counting like this: on its own, or as insurance of a shared one. */
export class BucketsInMemory extends RateLimiterMemory {
  readonly #clock: Clock
  readonly #fullAt: BoundedMap<number>

  constructor(clock: Clock, { burst, seconds }: BucketSize, fullAt = createBucketMemory()) {
    super({ points: burst, duration: seconds })
    this.#clock = clock
    this.#fullAt = fullAt
  }

  override async consume(name: string | number, tokens = 1): Promise<RateLimiterRes> {
    const now = this.#clock.now()
    const each = this.msDuration / this.points
    const key = String(name)
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now) + tokens * each
    // A thousandth of a ms for what fractions lose.
    const wait = fullAt - now - this.msDuration - 0.001
    if (wait > 0) throw new RateLimiterRes(0, Math.ceil(wait), this.points + 1)
    this.#fullAt.put(key, fullAt)
    return new RateLimiterRes(Math.floor((this.msDuration - (fullAt - now)) / each), 0)
  }
}

/** What a limiter's answer means: its refusals are rejections. */
export const waitOf = async (answer: Promise<RateLimiterRes>): Promise<number> => {
  try {
    await answer
    return 0
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return Math.max(1, refusal.msBeforeNext)
    throw refusal
  }
}

/** Buckets of this process alone, which are full at first unless `fullAt` knows better. */
export const createBuckets = (clock: Clock, fullAt = createBucketMemory()): Buckets => {
  const limiters = new Map<string, BucketsInMemory>()
  return {
    take(names, size, tokens = 1) {
      const id = `${size.burst}/${size.seconds}`
      const limiter = limiters.get(id) ?? new BucketsInMemory(clock, size, fullAt)
      limiters.set(id, limiter)
      return Promise.all(names.map((name) => waitOf(limiter.consume(name, tokens))))
    },
  }
}
