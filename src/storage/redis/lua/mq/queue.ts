/**
 * Lua that the scripts of message queues begin with. KEYS[1] hash id → row, [2] sorted set of ids by place, [3] sorted set
 * of ids by expiresAt, [4] hash id → payer, [5] sorted set of payers by their messages, [6] sorted set of `payer place id`.
 */
export const QUEUE = `
local function paid(payer, place, id)
  return payer .. ' ' .. string.format('%016.0f', place) .. ' ' .. id
end
local function drop(id)
  local payer = redis.call('HGET', KEYS[4], id)
  local place = redis.call('ZSCORE', KEYS[2], id)
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
  if payer then
    redis.call('HDEL', KEYS[4], id)
    if place then redis.call('ZREM', KEYS[6], paid(payer, tonumber(place), id)) end
    if tonumber(redis.call('ZINCRBY', KEYS[5], -1, payer)) <= 0 then redis.call('ZREM', KEYS[5], payer) end
  end
end
-- The keys of a queue that has come to its end go one by one, so a message may be without its end.
local function isOver(id, now)
  return tonumber(redis.call('ZSCORE', KEYS[3], id) or 0) <= now
end
-- The oldest that has not expired.
local function oldest(now)
  local from = 0
  while true do
    local ids = redis.call('ZRANGE', KEYS[2], from, from + 99)
    if #ids == 0 then return nil end
    for _, id in ipairs(ids) do
      if not isOver(id, now) then return id end
    end
    from = from + 100
  end
end`
