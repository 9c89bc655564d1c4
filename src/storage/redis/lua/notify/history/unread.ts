import { defineScript } from '../../../script.ts'

/**
 * Unread copies of one subscription.
 *
 * KEYS  1 unread · 2 rows
 * ARGV  those of these ids; none for all
 * Returns three of each: id, sentAt, when it expires and the reference of its notification.
 */
export const unreadScript = defineScript(
  'NotifyUnread',
  `
local answer = {}
local function tell(id, sentAt)
  local row = sentAt and redis.call('HGET', KEYS[2], id)
  if not row then return end
  answer[#answer + 1] = id
  answer[#answer + 1] = sentAt
  answer[#answer + 1] = row
end
if #ARGV == 0 then
  local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for at = 1, #all, 2 do tell(all[at], all[at + 1]) end
end
for _, id in ipairs(ARGV) do tell(id, redis.call('ZSCORE', KEYS[1], id)) end
return answer`,
)
