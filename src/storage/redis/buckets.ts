/**
 * Token buckets that all processes on one Redis share: `limit:<name>` holds the instant (Redis' own clock, unix ms) at
 * which the bucket will be full again, and goes by itself then. Names are hashed, so that no address stands in a key.
 *
 * The library asks Redis, holds back in memory who was refused until it is of use to ask again, and asks the buckets of
 * this process while Redis is away: then each process allows the whole amount, and no request is refused for our trouble.
 */
import { createHash } from 'node:crypto'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import {
  type BucketSize,
  type Buckets,
  BucketsInMemory,
  createBucketMemory,
  waitOf,
} from '../../platform/budgets/token-buckets.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { RedisConnection } from './connection.ts'

/**
 * In place of the library's, which counts windows; it fixes KEYS and ARGV and what they mean.
 *
 * KEYS  1 the bucket
 * ARGV  1 tokens · 2 (unused) · 3 burst · 4 seconds to fill it
 * Returns {what is taken by now, more than the burst for a refusal; ms to wait}.
 */
const TAKE = `
local burst, whole = tonumber(ARGV[3]), tonumber(ARGV[4]) * 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local fullAt = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + tonumber(ARGV[1]) * whole / burst
local wait = fullAt - now - whole - 0.001
if wait > 0 then return {burst + 1, math.ceil(wait)} end
redis.call('SET', KEYS[1], string.format('%.3f', fullAt), 'PX', math.ceil(fullAt - now))
return {math.ceil((fullAt - now) * burst / whole), 0}`

export const createRedisBuckets = (redis: RedisConnection, clock: Clock): Buckets => {
  const limiters = new Map<string, RateLimiterRedis>()
  const insured = createBucketMemory()

  const limiterOf = (size: BucketSize): RateLimiterRedis => {
    const { burst, seconds } = size
    const id = `${burst}/${seconds}`
    const known = limiters.get(id)
    if (known) return known
    const limiter = new RateLimiterRedis({
      storeClient: redis.client,
      keyPrefix: `${redis.prefix}limit`,
      points: burst,
      duration: seconds,
      customIncrTtlLuaScript: TAKE,
      inMemoryBlockOnConsumed: burst + 1,
      rejectIfRedisNotReady: true,
      insuranceLimiter: new BucketsInMemory(clock, size, insured),
    })
    limiters.set(id, limiter)
    return limiter
  }

  return {
    take(names, size, tokens = 1) {
      const limiter = limiterOf(size)
      // The library wants whole seconds there; nothing reads them.
      const options = { customDuration: 1 }
      return Promise.all(
        redis.together(() =>
          names.map((name) => {
            const hashed = createHash('sha256').update(name).digest('base64url').slice(0, 27)
            return waitOf(limiter.consume(hashed, tokens, options))
          }),
        ),
      )
    },
  }
}
