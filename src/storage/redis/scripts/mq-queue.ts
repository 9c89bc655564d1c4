/**
 * Lua that the scripts of message queues begin with. KEYS[1] hash id → row, [2] sorted set of ids by place, [3] sorted set
 * of ids by expiresAt.
 */
export const QUEUE = `
local function drop(id)
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
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
