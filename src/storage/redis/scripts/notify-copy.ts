import { defineScript } from '../scripts.ts'

/**
 * One copy of a subscription.
 *
 * KEYS  1 copies · 2 unread · 3 rows
 * ARGV  1 its id
 * Answers nothing when it is not there, else: sentAt, 1 when it is read, when it expires and the reference of its
 * notification.
 */
export const copyScript = defineScript(
  'NotifyCopy',
  `
local sentAt = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not sentAt then return false end
local isRead = redis.call('ZSCORE', KEYS[2], ARGV[1]) and 0 or 1
return { sentAt, isRead, redis.call('HGET', KEYS[3], ARGV[1]) }`,
)
