import { defineScript } from '../../../script.ts'

/**
 * Takes an account that went by itself (its ttl ended while no server ran) out of the list of what is due.
 *
 * KEYS  1 due · 2 account
 * ARGV  1 account key
 */
export const undueScript = defineScript(
  'NotifyUndue',
  `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])`,
)
