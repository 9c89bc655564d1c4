import { defineScript } from '../scripts.ts'

/**
 * Removes entries from a partition's outbox.
 *
 * KEYS  1 entries · 2 free · 3 held
 * ARGV  their ids
 * Answers how many were there.
 */
export const completeScript = defineScript(
  'NotifyComplete',
  `
redis.call('ZREM', KEYS[2], unpack(ARGV))
redis.call('ZREM', KEYS[3], unpack(ARGV))
return redis.call('HDEL', KEYS[1], unpack(ARGV))`,
)
