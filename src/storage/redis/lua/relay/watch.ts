import { defineScript } from '../../script.ts'

/**
 * Keeps a watch of a client, or the end of one, and drops those that are expired. One that stands keeps how it is doing.
 *
 * KEYS[1] hash of the client's watches
 * ARGV  1 field · 2 the watch as JSON · 3 now · 4 how many live ones there may be · 5 how long the key outlives them, ms
 * Answers 1, 0 when there would be too many, 2 when a newer word is kept.
 */
export const relayWatch = defineScript(
  'RelayWatch',
  `
local watch, json = cjson.decode(ARGV[2]), ARGV[2]
local now, others, last = tonumber(ARGV[3]), 0, watch.expiresAt
local ended = watch.state == 'ended'
local first, firstEnds
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local known = cjson.decode(all[at + 1])
  if known.expiresAt <= now then redis.call('HDEL', KEYS[1], all[at])
  elseif all[at] ~= ARGV[1] then
    if (known.state == 'ended') == ended then
      others = others + 1
      if not firstEnds or known.expiresAt < firstEnds then first, firstEnds = all[at], known.expiresAt end
    end
    last = math.max(last, known.expiresAt)
  else
    local was = known.state == 'ended'
    if watch.issuedAt < known.issuedAt then return 2 end
    if watch.issuedAt == known.issuedAt and was and not ended then return 2 end
    if not was and not ended then
      if known.state == 'active' then watch.state = 'active' end
      watch.refusals, watch.failingSince = known.refusals, known.failingSince
      json = cjson.encode(watch)
    end
  end
end
if others >= tonumber(ARGV[4]) then
  if not ended then return 0 end
  redis.call('HDEL', KEYS[1], first)
end
redis.call('HSET', KEYS[1], ARGV[1], json)
local ttl = string.format('%.0f', math.max(last - now, 0) + tonumber(ARGV[5]))
redis.call('PEXPIRE', KEYS[1], ttl)
return 1`,
)

/**
 * Changes how a live watch is doing, or removes it.
 *
 * KEYS[1] hash of the client's watches
 * ARGV  1 field · 2 the changed members as JSON, or nothing to remove it
 */
export const relayWatchChange = defineScript(
  'RelayWatchChange',
  `
local json = redis.call('HGET', KEYS[1], ARGV[1])
if not json then return 0 end
local watch = cjson.decode(json)
if watch.state == 'ended' then return 0 end
if ARGV[2] == '' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
for name, value in pairs(cjson.decode(ARGV[2])) do watch[name] = value end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(watch))
return 1`,
)
