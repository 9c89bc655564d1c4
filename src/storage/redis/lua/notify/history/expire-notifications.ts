import { defineScript } from '../../../script.ts'

/**
 * Removes notifications of a partition that have expired.
 *
 * KEYS  1 notifications · from 2 the keys of those that seemed to have
 * ARGV  1 now · from 2 their references
 * Returns how many it removed. Another notification may have taken the id of one meanwhile; it stays.
 */
export const expireNotificationsScript = defineScript(
  'NotifyExpireNotifications',
  `
local count = 0
for at = 2, #KEYS do
  local expires = redis.call('ZSCORE', KEYS[1], ARGV[at])
  if expires and tonumber(expires) <= tonumber(ARGV[1]) then
    redis.call('ZREM', KEYS[1], ARGV[at])
    redis.call('UNLINK', KEYS[at])
    count = count + 1
  end
end
return count`,
)
