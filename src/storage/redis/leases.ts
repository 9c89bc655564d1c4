import type { Leases } from '../leases.ts'
import type { RedisConnection } from './connection.ts'
import { leaseTake } from './lua/jobs/lease-take.ts'
import { relayRelease } from './lua/relay/release.ts'
import { whole } from './script.ts'

/** How much longer than its lease a key is kept, ms: the clocks that say when it ends are the callers'. */
const TTL_GRACE_MS = 60_000

/** One string a lease, `{lease:<name>}`, as the relay's claims are: until when, and whose. */
export const createRedisLeases = (redis: RedisConnection): Leases => {
  const at = (name: string) => `${redis.prefix}{lease:${name}}`
  return {
    async take(name, { holder, now, until }) {
      const keep = Math.max(1, Math.ceil(until - now)) + TTL_GRACE_MS
      const args = [holder, now, until, keep]
      return whole(await redis.one(() => redis.script(leaseTake, [at(name)], args))) === 1
    },
    async release(name, holder) {
      await redis.one(() => redis.script(relayRelease, [at(name)], [holder]))
    },
  }
}
