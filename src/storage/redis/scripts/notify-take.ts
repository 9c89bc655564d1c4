import { defineScript } from '../scripts.ts'
import { LIVE } from './notify-parts.ts'

/**
 * Takes entries of a partition's outbox, oldest first. Those whose lease has ended take their old place again.
 *
 * KEYS  1 entries · 2 free · 3 held
 * ARGV  1 now · 2 until · 3 limit
 * Answers for each: its place in the order, space, its JSON.
 */
export const takeScript = defineScript(
  'NotifyTake',
  LIVE,
  `
local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, 1000)
if #due > 0 then
  local texts = redis.call('HMGET', KEYS[1], unpack(due))
  for at, id in ipairs(due) do
    redis.call('ZREM', KEYS[3], id)
    if texts[at] then redis.call('ZADD', KEYS[2], string.match(texts[at], '^%d+'), id) end
  end
end
local ids = redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[3]) - 1)
if #ids == 0 then return {} end
local texts = redis.call('HMGET', KEYS[1], unpack(ids))
local taken = {}
for at, id in ipairs(ids) do
  redis.call('ZREM', KEYS[2], id)
  if texts[at] then
    redis.call('ZADD', KEYS[3], ARGV[2], id)
    taken[#taken + 1] = texts[at]
  end
end
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then
  live(KEYS[2], ttl)
  live(KEYS[3], ttl)
end
return taken`,
)
