import { defineScript } from '../../../script.ts'

/**
 * Removes entries from outboxes of partitions.
 *
 * KEYS  three of each partition: entries, free, held
 * ARGV  of each partition: number of ids, the ids
 */
export const completeScript = defineScript(
  'NotifyComplete',
  `
local arg = 1
for key = 1, #KEYS, 3 do
  local last = arg + tonumber(ARGV[arg])
  -- Who completes holds it; only what came back meanwhile is elsewhere.
  local held = redis.call('ZREM', KEYS[key + 2], unpack(ARGV, arg + 1, last))
  if held < last - arg then redis.call('ZREM', KEYS[key + 1], unpack(ARGV, arg + 1, last)) end
  redis.call('HDEL', KEYS[key], unpack(ARGV, arg + 1, last))
  arg = last + 1
end`,
)
