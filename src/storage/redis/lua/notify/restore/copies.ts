import { defineScript } from '../../../script.ts'
import { KEEP_COPY, LIVE } from '../parts.ts'

/**
 * Puts copies of another store into one partition: no unread one becomes read, nothing is added to the outbox.
 *
 * KEYS  1, 2, 3 any of the partition's · 4 expiring · 5 ids · from 6 four of each: account, copies, unread, rows
 * ARGV  1 ttl of what is shared · from 2 eight of each: subscription, id of the copy, what a record says that holds the
 *       subscription, sentAt, expiresAt, reference of the notification, '1' when it is unread, ttl
 * Returns for each 1, or 0 when its subscription is not there.
 */
export const restoreCopiesScript = defineScript(
  'NotifyRestoreCopies',
  LIVE,
  KEEP_COPY,
  `
local answers = {}
local arg = 2
for key = 6, #KEYS, 4 do
  local record = redis.call('GET', KEYS[key])
  local isHeld = record and string.find(record, ARGV[arg + 2], 1, true)
  if isHeld then
    keepCopy(
      1, key + 1, ARGV[arg], ARGV[arg + 1], ARGV[arg + 3], ARGV[arg + 4], ARGV[arg + 5],
      ARGV[arg + 6] == '1', tonumber(ARGV[arg + 7])
    )
  end
  answers[#answers + 1] = isHeld and 1 or 0
  arg = arg + 8
end
live(KEYS[4], tonumber(ARGV[1]))
live(KEYS[5], tonumber(ARGV[1]))
return answers`,
)
