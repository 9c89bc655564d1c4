import { defineScript } from '../scripts.ts'

/**
 * What a partition's outbox has for a worker.
 *
 * KEYS  1 free · 2 held
 * ARGV  1 now
 * Answers how many entries nobody holds now, and the place of the oldest, as text; '0' for one that comes back.
 */
export const peekScript = defineScript(
  'NotifyPeek',
  `
local free = redis.call('ZCARD', KEYS[1])
local due = redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[1])
if due > 0 then return { free + due, '0' } end
local first = free > 0 and redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES') or {}
return { free, first[2] or '0' }`,
)
