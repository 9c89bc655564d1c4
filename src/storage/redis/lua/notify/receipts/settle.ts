import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'
import { RECEIPTS } from './receipt-rows.ts'

/**
 * Removes entries of published copies from outboxes, and moves their receipts on.
 *
 * KEYS  five of each notification in each partition: entries, free, held, queued, others
 * ARGV  1 digit of the new state · 2 when · from 3 of each notification: number of copies, then two of each: id, name of
 *       its account
 */
export const settleScript = defineScript(
  'NotifySettle',
  LIVE,
  RECEIPTS,
  `
local arg = 3
for key = 1, #KEYS, 5 do
  local last = arg + 2 * tonumber(ARGV[arg])
  local ttl = redis.call('PTTL', KEYS[key + 3])
  for at = arg + 1, last, 2 do
    local id = ARGV[at]
    if redis.call('HDEL', KEYS[key], id) == 1 then
      if redis.call('ZREM', KEYS[key + 2], id) == 0 then redis.call('ZREM', KEYS[key + 1], id) end
      move(KEYS[key + 3], KEYS[key + 4], ARGV[at + 1], id, '1', ARGV[1], ARGV[2], '', true)
    end
  end
  if ttl > 0 then live(KEYS[key + 4], ttl) end
  arg = last + 1
end`,
)
