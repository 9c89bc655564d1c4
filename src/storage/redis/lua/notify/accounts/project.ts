import { defineScript } from '../../../script.ts'

/**
 * Creates a project unless its id is taken.
 *
 * KEYS  1 project · 2 projects
 * ARGV  1 id · 2 JSON
 * Returns 1 when it did, also when it is asked the same again: the answer may have been lost.
 */
export const createProjectScript = defineScript(
  'NotifyCreateProject',
  `
local kept = redis.call('GET', KEYS[1])
if kept then return kept == ARGV[2] and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1`,
)
