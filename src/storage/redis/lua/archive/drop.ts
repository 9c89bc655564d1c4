import { defineScript, WHEN_FULL } from '../../script.ts'
import { ARCHIVE } from './parts.ts'

/**
 * Removes what an owner has before a message, a piece of it.
 *
 * KEYS  of the topic, see `archive-parts`
 * ARGV  1 id of that message · 2 owner · 3 how many at most
 * Returns how many; -1 when that message is not there.
 */
export const archiveDrop = defineScript(
  'ArchiveDrop',
  WHEN_FULL,
  ARCHIVE,
  `
local seq = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not seq then return -1 end
local from, to = '[' .. ARGV[2] .. ' ', '(' .. owned(ARGV[2], tonumber(seq), '')
local earlier = redis.call('ZRANGEBYLEX', KEYS[4], from, to, 'LIMIT', 0, ARGV[3])
local bytes = 0
for _, entry in ipairs(earlier) do
  local id = string.sub(entry, -64)
  bytes = bytes + redis.call('HSTRLEN', KEYS[2], id)
  redis.call('HDEL', KEYS[2], id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZREM', KEYS[4], entry)
end
if bytes > 0 then redis.call('HINCRBY', KEYS[3], 'bytes', -bytes) end
return #earlier`,
)
