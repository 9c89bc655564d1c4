import { defineScript } from '../../../script.ts'

/**
 * Counts a click: of the copy, and of all copies.
 *
 * KEYS  1 clicks of the notification
 * ARGV  1 copy · 2 when · 3 ttl
 */
export const clickScript = defineScript(
  'NotifyClick',
  `
local one = redis.call('HGET', KEYS[1], ARGV[1])
local all = redis.call('HGET', KEYS[1], 'all')
local count, first = string.match(one or '', '^(%S+) (%S+)')
local total, earliest, copies = string.match(all or '', '^(%S+) (%S+) (%S+)')
redis.call('HSET', KEYS[1],
  ARGV[1], string.format('%.0f %s', (count or 0) + 1, first or ARGV[2]),
  'all', string.format('%.0f %s %.0f', (total or 0) + 1, earliest or ARGV[2], (copies or 0) + (one and 0 or 1)))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`,
)
