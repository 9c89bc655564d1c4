import { defineScript, WHEN_FULL } from '../scripts.ts'

/**
 * Removes what was archived before a message, a piece of it.
 *
 * KEYS[1] sorted set: id by seq · KEYS[2] hash: id → text · KEYS[3] hash: last, bytes, until
 * ARGV  1 id of that message · 2 how many at most
 * Answers how many; -1 when that message is not there.
 */
export const archiveDrop = defineScript(
  'ArchiveDrop',
  WHEN_FULL,
  `
local rank = redis.call('ZRANK', KEYS[1], ARGV[1])
if not rank then return -1 end
local count = math.min(rank, tonumber(ARGV[2]))
if count == 0 then return 0 end
local bytes = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, count - 1)) do
  bytes = bytes + redis.call('HSTRLEN', KEYS[2], id)
  redis.call('HDEL', KEYS[2], id)
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, count - 1)
redis.call('HINCRBY', KEYS[3], 'bytes', -bytes)
return count`,
)
