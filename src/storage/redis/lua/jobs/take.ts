import { defineScript } from '../../script.ts'

/**
 * Takes due jobs of a queue, the longest due first. Expired ones are left to the sweep, out of the way.
 *
 * KEYS  1 jobs · 2 due · 3 expiry
 * ARGV  1 now · 2 until · 3 limit
 * Returns the JSON of each.
 */
export const jobsTake = defineScript(
  'AgendaTake',
  `
local taken, limit = {}, tonumber(ARGV[3])
while #taken < limit do
  local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, limit - #taken)
  if #ids == 0 then break end
  local texts = redis.call('HMGET', KEYS[1], unpack(ids))
  local ends = redis.call('ZMSCORE', KEYS[3], unpack(ids))
  for at, id in ipairs(ids) do
    if texts[at] and ends[at] and tonumber(ends[at]) > tonumber(ARGV[1]) then
      redis.call('ZADD', KEYS[2], ARGV[2], id)
      taken[#taken + 1] = texts[at]
    else
      redis.call('ZREM', KEYS[2], id)
    end
  end
end
return taken`,
)
