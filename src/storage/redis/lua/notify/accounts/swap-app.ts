import { defineScript } from '../../../script.ts'

/**
 * Replaces an app's record if it is still the stated one, and the topics that lead to it.
 *
 * KEYS  1 app · 2… its subscribe topics, then those that no longer are
 * ARGV  1 the old JSON · 2 the new one · 3 domain · 4 how many topics it has
 * Returns 1 when the record is the new one.
 */
export const swapAppScript = defineScript(
  'NotifySwapApp',
  `
local kept = redis.call('GET', KEYS[1])
if kept == ARGV[2] then return 1 end
if kept ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
local last = 1 + tonumber(ARGV[4])
for at = 2, last do redis.call('SET', KEYS[at], ARGV[3]) end
for at = last + 1, #KEYS do redis.call('DEL', KEYS[at]) end
return 1`,
)
