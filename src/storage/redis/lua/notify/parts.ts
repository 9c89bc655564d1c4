/** Lua that several of the notify scripts begin with. */

/** `live(key, ttl)`: the key lives for at least `ttl` ms more. Given an hour too much, so that it is rarely written. */
export const LIVE = `
local function live(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl + 3600000) end
end`

/**
 * `add(base, first, last)`: adds the outbox entries that ARGV names from `first` to `last`, three values each: id,
 * proposed place in the order, JSON. KEYS[base] entries, then free, order. An entry that exists is left as it is.
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

/**
 * `keepCopy(base, at, subscription, id, sentAt, expiresAt, reference, isUnread, ttl)`: puts a copy into KEYS[at] copies,
 * at + 1 unread, at + 2 rows; of its partition KEYS[base + 3] expiring, base + 4 ids, to which the caller gives their
 * ttl at the end. Needs LIVE.
 */
export const KEEP_COPY = `
local function keepCopy(base, at, subscription, id, sentAt, expiresAt, reference, isUnread, ttl)
  redis.call('ZADD', KEYS[at], sentAt, id)
  if isUnread then redis.call('ZADD', KEYS[at + 1], sentAt, id) end
  redis.call('HSET', KEYS[at + 2], id, expiresAt .. ' ' .. reference)
  redis.call('HSET', KEYS[base + 4], id, subscription)
  redis.call('ZADD', KEYS[base + 3], 'LT', expiresAt, subscription)
  -- All of one subscription live equally long, but for the unread ones: they are gone when all are read.
  if redis.call('PTTL', KEYS[at]) < ttl then
    live(KEYS[at], ttl)
    live(KEYS[at + 2], ttl)
  end
  if isUnread then live(KEYS[at + 1], ttl) end
end`
