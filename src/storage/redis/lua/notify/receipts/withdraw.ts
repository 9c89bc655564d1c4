import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'
import { RECEIPTS } from './receipt-rows.ts'

/**
 * Takes back a copy that is queued: its outbox entry and what is unread; its receipt fails. Its entry goes in any case
 * when it is ticked off.
 *
 * KEYS  1 entries · 2 free · 3 held · 4 queued · 5 others · 6 unread · 7 rows
 * ARGV  1 id of the copy · 2 name of its account · 3 when, as it is written · 4 the reason · 5 now, if it must not be
 *       taken from the worker that has its entry; else empty
 * Returns 1 when it did.
 */
export const withdrawScript = defineScript(
  'NotifyWithdraw',
  LIVE,
  RECEIPTS,
  `
local id = ARGV[1]
if redis.call('HEXISTS', KEYS[1], id) == 0 then return 0 end
if ARGV[5] ~= '' then
  local held = tonumber(redis.call('ZSCORE', KEYS[3], id) or 0)
  -- What was given back has half a millisecond.
  if held > tonumber(ARGV[5]) and held % 1 == 0 then return 0 end
end
local isQueued = move(KEYS[4], KEYS[5], ARGV[2], id, '1', '5', ARGV[3], ARGV[4])
-- It may be read before it is sent; then only who ticks it off takes it out.
if not isQueued and ARGV[5] ~= '' then return 0 end
redis.call('HDEL', KEYS[1], id)
redis.call('ZREM', KEYS[2], id)
redis.call('ZREM', KEYS[3], id)
if not isQueued then return 0 end
withdraw(KEYS[6], KEYS[7], id)
return 1`,
)
