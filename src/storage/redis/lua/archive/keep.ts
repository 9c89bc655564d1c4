import { defineScript } from '../../script.ts'
import { ARCHIVE } from './parts.ts'

/**
 * Keeps messages of one topic, then lets the oldest go that are expired or beyond its limits.
 *
 * KEYS  of the topic, see `archive-parts`
 * ARGV  1 now · 2 messages at most · 3 bytes at most · 4 how long the keys outlive the last message, ms; then for each
 * message: id · seq, or an empty text for the next one · when it expires · text
 * Returns 1.
 */
export const archiveKeep = defineScript(
  'ArchiveKeep',
  ARCHIVE,
  `
local now = tonumber(ARGV[1])
local state = redis.call('HMGET', KEYS[3], 'last', 'bytes', 'until')
local last, bytes, live = tonumber(state[1] or '0'), tonumber(state[2] or '0'), tonumber(state[3] or '0')
for at = 5, #ARGV, 4 do
  local id, seq, expires, text = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3]
  if not redis.call('ZSCORE', KEYS[1], id) then
    if not seq then seq = last + 1 end
    last = math.max(last, seq)
    live = math.max(live, expires)
    bytes = bytes + #text
    redis.call('ZADD', KEYS[1], seq, id)
    redis.call('HSET', KEYS[2], id, text)
    local owner = ownerOf(text)
    if owner then redis.call('ZADD', KEYS[4], 0, owned(owner, seq, id)) end
  end
end
local count = redis.call('ZCARD', KEYS[1])
while count > 0 do
  local id, seq = unpack(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES'))
  local text = redis.call('HGET', KEYS[2], id) or '0 '
  local isOver = count > tonumber(ARGV[2]) or bytes > tonumber(ARGV[3])
  if not isOver and tonumber(string.match(text, '^%d+')) > now then break end
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  local owner = ownerOf(text)
  if owner then redis.call('ZREM', KEYS[4], owned(owner, tonumber(seq), id)) end
  bytes = bytes - #text
  count = count - 1
end
redis.call('HSET', KEYS[3], 'last', string.format('%.0f', last), 'bytes', string.format('%.0f', bytes),
  'until', string.format('%.0f', live))
local ttl = string.format('%.0f', math.max(live - now, 0) + tonumber(ARGV[4]))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
return 1`,
)
