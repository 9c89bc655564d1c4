import { defineScript } from '../../../script.ts'

/**
 * Replaces a value if it is still the stated one.
 *
 * KEYS  1 the key
 * ARGV  1 the old value · 2 the new one
 * Returns 1 when the value is the new one.
 */
export const swapScript = defineScript(
  'NotifySwap',
  `
local kept = redis.call('GET', KEYS[1])
if kept == ARGV[2] then return 1 end
if kept ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`,
)
