import { defineScript } from '../scripts.ts'
import { LIVE } from './notify-parts.ts'

/**
 * Appends a message, or puts it at its place.
 *
 * KEYS  of the queue, see `mq-queue`
 * ARGV  1 id · 2 row · 3 expiresAt · 4 now · 5 most messages · 6 how long the keys must live, ms · 7 place, or empty
 * Answers 1, or 0 when the queue is full.
 */
export const mqPut = defineScript(
  'MqPut',
  LIVE,
  `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 1 end
local most = tonumber(ARGV[5])
if redis.call('ZCARD', KEYS[3]) >= most and redis.call('ZCOUNT', KEYS[3], '(' .. ARGV[4], '+inf') >= most then
  return 0
end
local place = ARGV[7]
if place == '' then
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  place = string.format('%.0f', tonumber(last[2] or 0) + 1)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], place, ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
for _, key in ipairs(KEYS) do live(key, tonumber(ARGV[6])) end
return 1`,
)
