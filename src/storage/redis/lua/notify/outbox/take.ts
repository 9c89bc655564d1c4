import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'

/**
 * Takes entries of outboxes of partitions, oldest first. Those whose lease has ended take their old place again.
 *
 * KEYS  three of each partition: entries, free, held
 * ARGV  1 now · 2 until · from 3 of each partition how many at most
 * Returns a list for each partition, of each entry: its place in the order, space, its JSON.
 */
export const takeScript = defineScript(
  'NotifyTake',
  LIVE,
  `
local function take(entries, free, held, most)
  local due = redis.call('ZRANGEBYSCORE', held, '-inf', ARGV[1], 'LIMIT', 0, 1000)
  if #due > 0 then
    local texts = redis.call('HMGET', entries, unpack(due))
    redis.call('ZREM', held, unpack(due))
    for at, id in ipairs(due) do
      if texts[at] then redis.call('ZADD', free, string.match(texts[at], '^%d+'), id) end
    end
  end
  local ids = redis.call('ZRANGE', free, 0, most - 1)
  if #ids == 0 then return {} end
  local texts = redis.call('HMGET', entries, unpack(ids))
  redis.call('ZREM', free, unpack(ids))
  local taken, rows = {}, {}
  for at, id in ipairs(ids) do
    if texts[at] then
      rows[#rows + 1] = ARGV[2]
      rows[#rows + 1] = id
      taken[#taken + 1] = texts[at]
    end
  end
  if #rows > 0 then redis.call('ZADD', held, unpack(rows)) end
  local ttl = redis.call('PTTL', entries)
  if ttl > 0 then
    live(free, ttl)
    live(held, ttl)
  end
  return taken
end
local answers = {}
for key = 1, #KEYS, 3 do
  answers[#answers + 1] = take(KEYS[key], KEYS[key + 1], KEYS[key + 2], tonumber(ARGV[2 + (key + 2) / 3]))
end
return answers`,
)
