import { defineScript } from '../scripts.ts'
import { LIVE } from './notify-parts.ts'
import { RECEIPTS } from './notify-receipt-parts.ts'

/**
 * Notes that a wallet has a copy.
 *
 * KEYS  1 account · 2 rows · 3 queued · 4 others
 * ARGV  1 what a record says that holds the subscription · 2 id of the copy · 3 its row · 4 name of the account · 5 when
 * Answers 1 when it became so now.
 */
export const deliverScript = defineScript(
  'NotifyDeliver',
  LIVE,
  RECEIPTS,
  `
local record = redis.call('GET', KEYS[1])
if not record or not string.find(record, ARGV[1], 1, true) then return 0 end
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return 0 end
return move(KEYS[3], KEYS[4], ARGV[4], ARGV[2], '21', '3', ARGV[5], '') and 1 or 0`,
)
