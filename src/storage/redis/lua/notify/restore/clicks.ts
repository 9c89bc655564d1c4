import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'

/**
 * Puts clicks of another store beside a notification, and counts them among all. A copy that has some is left as it is.
 *
 * KEYS  1 clicks of the notification
 * ARGV  1 ttl · from 2 three of each copy: its id, clicks, when it was first clicked
 */
export const restoreClicksScript = defineScript(
  'NotifyRestoreClicks',
  LIVE,
  `
local all = redis.call('HGET', KEYS[1], 'all')
local total, earliest, copies = string.match(all or '', '^(%S+) (%S+) (%S+)')
total, copies = tonumber(total or 0), tonumber(copies or 0)
for at = 2, #ARGV, 3 do
  local count, first = ARGV[at + 1], ARGV[at + 2]
  if redis.call('HSETNX', KEYS[1], ARGV[at], count .. ' ' .. first) == 1 then
    total, copies = total + tonumber(count), copies + 1
    if not earliest or tonumber(first) < tonumber(earliest) then earliest = first end
  end
end
redis.call('HSET', KEYS[1], 'all', string.format('%.0f %s %.0f', total, earliest, copies))
live(KEYS[1], tonumber(ARGV[1]))
return 1`,
)
