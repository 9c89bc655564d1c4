import { defineScript } from '../../../script.ts'

/**
 * Single copies of subscriptions.
 *
 * KEYS  three of each: copies, unread, rows of its subscription
 * ARGV  their ids
 * Returns for each false when it is not there or withdrawn, else: sentAt, 1 when it is read, when it expires and the reference of its
 * notification.
 */
export const copyScript = defineScript(
  'NotifyCopy',
  `
local answers = {}
for at, id in ipairs(ARGV) do
  local sentAt = redis.call('ZSCORE', KEYS[3 * at - 2], id)
  local row = sentAt and redis.call('HGET', KEYS[3 * at], id)
  local isHere = row and string.sub(row, -2) ~= ' -'
  local isRead = sentAt and not redis.call('ZSCORE', KEYS[3 * at - 1], id) and 1 or 0
  answers[at] = isHere and { sentAt, isRead, row }
end
return answers`,
)
