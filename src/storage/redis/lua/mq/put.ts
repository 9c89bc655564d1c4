import { defineScript } from '../../script.ts'
import { LIVE } from '../notify/parts.ts'
import { QUEUE } from './queue.ts'

/**
 * Appends a message, or puts it at its place. In a full queue the oldest message of the payer with most of them gives way
 * to a payer with few.
 *
 * KEYS  of the queue, see `mq-queue`
 * ARGV  1 id · 2 row · 3 expiresAt · 4 now · 5 most messages · 6 how long the keys must live, ms · 7 place, or empty ·
 * 8 payer, or empty · 9 how few messages of a payer are few
 * Returns 1, or 0 when the queue is full.
 */
export const mqPut = defineScript(
  'MqPut',
  LIVE,
  QUEUE,
  `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 1 end
local most, payer, foothold = tonumber(ARGV[5]), ARGV[8], tonumber(ARGV[9])
-- What must give way.
local function pushedOut()
  local own = payer == '' and foothold or tonumber(redis.call('ZSCORE', KEYS[5], payer) or 0)
  if own >= foothold then return nil end
  local largest = redis.call('ZREVRANGE', KEYS[5], 0, 0, 'WITHSCORES')
  if not largest[1] or tonumber(largest[2]) <= own + 1 then return nil end
  local theirs = redis.call('ZRANGEBYLEX', KEYS[6], '[' .. largest[1] .. ' ', '(' .. largest[1] .. '!', 'LIMIT', 0, 1)
  return theirs[1] and string.sub(theirs[1], #largest[1] + 19)
end
if redis.call('ZCARD', KEYS[3]) >= most then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[4], 'LIMIT', 0, 1000)) do drop(id) end
  if redis.call('ZCOUNT', KEYS[3], '(' .. ARGV[4], '+inf') >= most then
    local id = pushedOut()
    if not id then return 0 end
    drop(id)
  end
end
local place = ARGV[7]
if place == '' then
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  place = string.format('%.0f', tonumber(last[2] or 0) + 1)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], place, ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
if payer ~= '' then
  redis.call('HSET', KEYS[4], ARGV[1], payer)
  redis.call('ZINCRBY', KEYS[5], 1, payer)
  redis.call('ZADD', KEYS[6], 0, paid(payer, tonumber(place), ARGV[1]))
end
for _, key in ipairs(KEYS) do live(key, tonumber(ARGV[6])) end
return 1`,
)
