import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'

/**
 * Puts outbox entries of another store into their places in one partition. One that exists is left as it is.
 *
 * KEYS  1 entries · 2 free · 3 order
 * ARGV  1 ttl of the outbox · three of each: id, place, JSON
 */
export const restoreEntriesScript = defineScript(
  'NotifyRestoreEntries',
  LIVE,
  `
local last = tonumber(redis.call('GET', KEYS[3]) or 0)
for at = 2, #ARGV, 3 do
  if redis.call('HSETNX', KEYS[1], ARGV[at], ARGV[at + 1] .. ' ' .. ARGV[at + 2]) == 1 then
    redis.call('ZADD', KEYS[2], ARGV[at + 1], ARGV[at])
  end
  last = math.max(last, tonumber(ARGV[at + 1]))
end
redis.call('SET', KEYS[3], string.format('%.0f', last))
live(KEYS[1], tonumber(ARGV[1]))
live(KEYS[2], tonumber(ARGV[1]))
return 1`,
)
