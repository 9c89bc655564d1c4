import { defineScript } from '../scripts.ts'
import { ADD, LIVE } from './notify-parts.ts'

/**
 * Marks copies of one subscription as read.
 *
 * KEYS  1 entries · 2 free · 3 order · 4 account · 5 unread copies · 6 request (any of the partition's for none)
 * ARGV  1 what a record says that holds the subscription · 2 when the request id expires, empty for none · 3 its ttl ·
 *       4 ttl of the outbox · 5 number of ids, or 'all' · 6 number of entries that are written always · the ids · these
 *       entries · the entries that are written when something changed
 * Answers how many copies changed; -1 when the request was committed before.
 */
export const markScript = defineScript(
  'NotifyMark',
  LIVE,
  ADD,
  `
if ARGV[2] ~= '' and redis.call('EXISTS', KEYS[6]) == 1 then return -1 end
local record = redis.call('GET', KEYS[4])
local changed = 0
local count = tonumber(ARGV[5]) or 0
if ARGV[2] ~= '' then redis.call('SET', KEYS[6], ARGV[2], 'PX', ARGV[3]) end
if record and string.find(record, ARGV[1], 1, true) then
  if ARGV[5] == 'all' then
    changed = redis.call('ZCARD', KEYS[5])
    redis.call('UNLINK', KEYS[5])
  else
    for at = 7, 6 + count do changed = changed + redis.call('ZREM', KEYS[5], ARGV[at]) end
  end
end
local first = 7 + count
local second = first + 3 * tonumber(ARGV[6])
add(1, first, second - 1)
if changed > 0 then add(1, second, #ARGV) end
added(1, tonumber(ARGV[4]))
return changed`,
)
