import { defineScript } from '../../../script.ts'

/**
 * Creates an app unless its domain is taken.
 *
 * KEYS  1 app · 2 apps · 3 apps of the project · 4… subscribe topics
 * ARGV  1 domain · 2 JSON
 * Returns the JSON of the app that holds the domain.
 */
export const createAppScript = defineScript(
  'NotifyCreateApp',
  `
local kept = redis.call('GET', KEYS[1])
if kept then return kept end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
for at = 4, #KEYS do redis.call('SET', KEYS[at], ARGV[1]) end
return ARGV[2]`,
)
