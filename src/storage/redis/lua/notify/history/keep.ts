import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'

/**
 * Keeps a notification unless one with its id is kept that has not expired.
 *
 * KEYS  1 the notification · 2 notifications
 * ARGV  1 now · 2 when it expires · 3 ttl · 4 its reference · 5 its JSON
 * Returns the JSON of what is kept.
 */
export const keepScript = defineScript(
  'NotifyKeep',
  LIVE,
  `
local kept = redis.call('GET', KEYS[1])
if kept then
  local expires, json = string.match(kept, '^(%S+) (.*)$')
  if tonumber(expires) > tonumber(ARGV[1]) then return json end
end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. ARGV[5], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[4])
live(KEYS[2], tonumber(ARGV[3]))
return ARGV[5]`,
)
