import { defineScript } from '../../../script.ts'

/**
 * What outboxes of partitions have for a worker.
 *
 * KEYS  two of each partition: free, held
 * ARGV  1 now
 * Returns two for each: how many entries are free now, and the place of the oldest, as text; '0' for one that comes
 * back.
 */
export const peekScript = defineScript(
  'NotifyPeek',
  `
local answers = {}
for key = 1, #KEYS, 2 do
  local free = redis.call('ZCARD', KEYS[key])
  local due = redis.call('ZCOUNT', KEYS[key + 1], '-inf', ARGV[1])
  local first = due == 0 and free > 0 and redis.call('ZRANGE', KEYS[key], 0, 0, 'WITHSCORES') or {}
  answers[key] = free + due
  answers[key + 1] = first[2] or '0'
end
return answers`,
)
