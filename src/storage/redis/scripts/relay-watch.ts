import { defineScript } from '../scripts.ts'

/**
 * Keeps a watch of a client, and drops those that are expired.
 *
 * KEYS[1] hash of the client's watches
 * ARGV  1 field · 2 the watch as JSON · 3 now · 4 how many live ones there may be · 5 how long the key outlives them, ms
 * Answers 1, or 0 when there would be too many.
 */
export const relayWatch = defineScript(
  'RelayWatch',
  `
local now, others, last = tonumber(ARGV[3]), 0, cjson.decode(ARGV[2]).expiresAt
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local expires = cjson.decode(all[at + 1]).expiresAt
  if expires <= now then redis.call('HDEL', KEYS[1], all[at])
  elseif all[at] ~= ARGV[1] then
    others = others + 1
    last = math.max(last, expires)
  end
end
if others >= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local ttl = string.format('%.0f', math.max(last - now, 0) + tonumber(ARGV[5]))
redis.call('PEXPIRE', KEYS[1], ttl)
return 1`,
)
