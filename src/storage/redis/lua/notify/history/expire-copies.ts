import { defineScript, WHEN_FULL } from '../../../script.ts'

/**
 * Removes expired copies of one subscription.
 *
 * KEYS  1 expiring · 2 copies · 3 unread · 4 rows · 5 ids
 * ARGV  1 subscription · 2 now · 3 limit
 * Returns how many it removed. Copies expire about in the order in which they were sent, so it looks at the oldest, and
 * on as long as it finds expired ones. One that it misses because others live longer goes with them; no read returns it.
 */
export const expireCopiesScript = defineScript(
  'NotifyExpireCopies',
  WHEN_FULL,
  `
local now, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local CHUNK = 100
local count, rank, soonest = 0, 0, nil
local isOver = false
while not isOver do
  local most = math.min(CHUNK, limit - count)
  local ids = redis.call('ZRANGE', KEYS[2], rank, rank + most - 1)
  local expired = {}
  isOver = #ids < most
  for _, id in ipairs(ids) do
    local row = redis.call('HGET', KEYS[4], id)
    local expires = row and tonumber(string.match(row, '^%S+')) or 0
    if expires <= now then
      expired[#expired + 1] = id
    else
      soonest = math.min(soonest or expires, expires)
    end
  end
  if #expired == 0 then
    isOver = true
  else
    redis.call('ZREM', KEYS[2], unpack(expired))
    redis.call('ZREM', KEYS[3], unpack(expired))
    redis.call('HDEL', KEYS[4], unpack(expired))
    redis.call('HDEL', KEYS[5], unpack(expired))
    count = count + #expired
    rank = rank + #ids - #expired
    if count >= limit then isOver = true end
  end
end
-- With the limit reached there may be more: the subscription stays due.
if count >= limit then return count end
if soonest then
  redis.call('ZADD', KEYS[1], soonest, ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return count`,
)
