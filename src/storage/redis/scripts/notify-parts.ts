/** Lua that several of the notify scripts begin with. */

/** `live(key, ttl)`: the key lives for at least `ttl` ms more. Given an hour too much, so that it is rarely written. */
export const LIVE = `
local function live(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl + 3600000) end
end`

/**
 * `add(first, last)`: adds the outbox entries that ARGV names from `first` to `last`, three values each: id, proposed
 * place in the order, JSON. KEYS[1] entries, KEYS[2] free, KEYS[3] order. An entry that is there is left as it is.
 * Places grow within a partition whatever is proposed, so what is added later is never taken before what waits.
 */
export const ADD = `
local place
local function add(first, last)
  for at = first, last, 3 do
    place = place or tonumber(redis.call('GET', KEYS[3]) or 0)
    place = math.max(place + 1, tonumber(ARGV[at + 1]))
    local text = string.format('%.0f', place)
    if redis.call('HSETNX', KEYS[1], ARGV[at], text .. ' ' .. ARGV[at + 2]) == 1 then
      redis.call('ZADD', KEYS[2], text, ARGV[at])
    end
  end
end
local function added(ttl)
  if not place then return end
  redis.call('SET', KEYS[3], string.format('%.0f', place))
  live(KEYS[1], ttl)
  live(KEYS[2], ttl)
end`
