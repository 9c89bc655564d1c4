/** Lua that several of the notify scripts begin with. */

/** `live(key, ttl)`: the key lives for at least `ttl` ms more. Given an hour too much, so that it is rarely written. */
export const LIVE = `
local function live(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl + 3600000) end
end`

/**
 * `add(base, first, last)`: adds the outbox entries that ARGV names from `first` to `last`, three values each: id,
 * proposed place in the order, JSON. KEYS[base] entries, then free, order. An entry that is there is left as it is.
 * `added(base, ttl)` comes after all that is added to one partition. Places grow within a partition whatever is
 * proposed, so what is added later is never taken before what waits.
 */
export const ADD = `
local place
local function add(base, first, last)
  for at = first, last, 3 do
    place = place or tonumber(redis.call('GET', KEYS[base + 2]) or 0)
    place = math.max(place + 1, tonumber(ARGV[at + 1]))
    local text = string.format('%.0f', place)
    if redis.call('HSETNX', KEYS[base], ARGV[at], text .. ' ' .. ARGV[at + 2]) == 1 then
      redis.call('ZADD', KEYS[base + 1], text, ARGV[at])
    end
  end
end
local function added(base, ttl)
  if not place then return end
  redis.call('SET', KEYS[base + 2], string.format('%.0f', place))
  live(KEYS[base], ttl)
  live(KEYS[base + 1], ttl)
  place = nil
end`
