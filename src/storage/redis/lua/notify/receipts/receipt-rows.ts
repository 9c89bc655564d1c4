/**
 * What scripts share that move receipts: `notify-receipt-rows` says how they are written. `queued` and `others` are the
 * two sorted sets of a notification. Needs `LIVE`.
 *
 * `find`: the row of a receipt in one of them. `enter`: writes a receipt that is not queued. `move`: moves the receipt
 * on if it is in one of the states `from` (a string of digits), if it is queued only that of this copy; returns whether
 * it did. What leaves the queued ones hands its time to live on, unless the caller sees to that (`isTimed`). `withdraw`: takes a copy out of what is unread, and marks its row.
 */
export const RECEIPTS = `
local function find(key, prefix)
  return redis.call('ZRANGEBYLEX', key, '[' .. prefix .. '\\0', '(' .. prefix .. '\\1', 'LIMIT', 0, 1)[1]
end
local function enter(others, state, account, form, at, reason)
  local row = state .. account .. '\\0' .. form .. '\\0' .. at
  if reason ~= '' then row = row .. '\\0' .. reason end
  redis.call('ZADD', others, 0, row)
end
local function move(queued, others, account, copy, from, state, at, reason, isTimed)
  for digit in string.gmatch(from, '.') do
    local isQueued = digit == '1'
    local key = isQueued and queued or others
    local row = find(key, isQueued and account or digit .. account)
    if row then
      if isQueued and string.match(row, '%z.-%z.-%z(.*)$') ~= copy then return false end
      local ttl = isQueued and not isTimed and redis.call('PTTL', key) or 0
      -- In this order: a set that was empty for a moment would have lost its time to live.
      enter(others, state, account, string.match(row, '%z(.-)%z'), at, reason)
      redis.call('ZREM', key, row)
      if ttl > 0 then live(others, ttl) end
      return true
    end
  end
  return false
end
local function withdraw(unread, rows, copy)
  redis.call('ZREM', unread, copy)
  local row = redis.call('HGET', rows, copy)
  if row then redis.call('HSET', rows, copy, row .. ' -') end
end
`
