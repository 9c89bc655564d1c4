import { defineScript } from '../../../script.ts'

/**
 * Replaces an entry of the outbox if it is still the stated one; its position and its lease stay.
 *
 * KEYS  1 entries
 * ARGV  1 entry id · 2 the old value · 3 the new one
 */
export const swapEntryScript = defineScript(
  'NotifySwapEntry',
  `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`,
)
