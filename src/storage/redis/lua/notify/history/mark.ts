import { defineScript } from '../../../script.ts'
import { ADD, LIVE } from '../parts.ts'
import { RECEIPTS } from '../receipts/receipt-rows.ts'

/**
 * Marks copies of one subscription as read, and their receipts.
 *
 * KEYS  1 entries · 2 free · 3 order · 4 account · 5 unread copies · 6 request · 7 its token, or the request
 *       again (any of the partition's for none) · from 8 two of each notification: queued, others
 * ARGV  1 what a record says that holds the subscription · 2 when the request id expires, empty for none · 3 its ttl ·
 *       4 ttl of the outbox · 5 number of copies · 6 number of entries that are written always · 7 name of the account ·
 *       8 when · two of each copy: id, place of the first key of its notification · these entries · the entries that are
 *       written when something changed
 * Returns how many copies changed; -1 when the request was committed before, -2 when its token was.
 */
export const markScript = defineScript(
  'NotifyMark',
  LIVE,
  ADD,
  RECEIPTS,
  `
if ARGV[2] ~= '' then
  if redis.call('EXISTS', KEYS[6]) == 1 then return -1 end
  if redis.call('EXISTS', KEYS[7]) == 1 then return -2 end
end
local record = redis.call('GET', KEYS[4])
local changed = 0
local first = 9 + 2 * tonumber(ARGV[5])
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[6], ARGV[2], 'PX', ARGV[3])
  redis.call('SET', KEYS[7], ARGV[2], 'PX', ARGV[3])
end
if record and string.find(record, ARGV[1], 1, true) then
  for at = 9, first - 1, 2 do
    if redis.call('ZREM', KEYS[5], ARGV[at]) == 1 then
      changed = changed + 1
      local key = tonumber(ARGV[at + 1])
      move(KEYS[key], KEYS[key + 1], ARGV[7], ARGV[at], '321', '4', ARGV[8], '')
    end
  end
end
local second = first + 3 * tonumber(ARGV[6])
add(1, first, second - 1)
if changed > 0 then add(1, second, #ARGV) end
added(1, tonumber(ARGV[4]))
return changed`,
)
