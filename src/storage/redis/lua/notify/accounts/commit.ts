import { defineScript } from '../../../script.ts'
import { ADD, LIVE } from '../parts.ts'

/**
 * The next record of an account, if its version is the stated one, with all that belongs to it in its partition.
 *
 * KEYS  1 entries · 2 free · 3 order · 4 account · 5 version · 6 due · 7 topics · 8 gone · 9 expiring
 *       10 request · 11 its token, or the request again (any of the partition's when there is none) · from 12 those that
 *       the plan names by their place:
 *       subscriber lists; four of each subscription that ended: copies, unread, rows, its ended copies
 * ARGV  1 account, packed · 2 expected version · 3 JSON of the record, empty when nothing is in it · 4 when its first thing
 *       expires · 5 ttl of the account's keys · 6 ttl of gone · 7 when the request id expires, empty for none · 8 its
 *       ttl · 9 ttl of the outbox · 10 plan as JSON: {join, leave: topics; list, unlist: places; gone: what is left to
 *       sweep; ended: [subscription, place of the first of its keys]} · from 11 outbox entries
 * Returns 'committed', 'conflict', 'repeated' or 'used'.
 */
export const commitScript = defineScript(
  'NotifyCommit',
  LIVE,
  ADD,
  `
if ARGV[7] ~= '' then
  if redis.call('EXISTS', KEYS[10]) == 1 then return 'repeated' end
  if redis.call('EXISTS', KEYS[11]) == 1 then return 'used' end
end
local old = redis.call('GET', KEYS[4])
local version = old and string.match(old, '^(%d+) ') or '0'
if version ~= ARGV[2] then return 'conflict' end
local plan = cjson.decode(ARGV[10])
local ttl = tonumber(ARGV[5])

if ARGV[7] ~= '' then
  redis.call('SET', KEYS[10], ARGV[7], 'PX', ARGV[8])
  redis.call('SET', KEYS[11], ARGV[7], 'PX', ARGV[8])
end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[4])
  redis.call('ZREM', KEYS[6], ARGV[1])
else
  local nextVersion = string.format('%.0f', redis.call('INCR', KEYS[5]))
  redis.call('SET', KEYS[4], nextVersion .. ' ' .. ARGV[3], 'PX', ttl)
  redis.call('ZADD', KEYS[6], ARGV[4], ARGV[1])
  live(KEYS[6], ttl)
end
for _, topic in ipairs(plan.leave) do redis.call('ZREM', KEYS[7], topic) end
for _, topic in ipairs(plan.join) do redis.call('ZADD', KEYS[7], 0, topic) end
for _, at in ipairs(plan.unlist) do redis.call('ZREM', KEYS[at], ARGV[1]) end
for _, at in ipairs(plan.list) do
  redis.call('ZADD', KEYS[at], 0, ARGV[1])
  live(KEYS[at], ttl)
end
if ARGV[3] ~= '' then live(KEYS[7], ttl) end
for _, one in ipairs(plan.ended) do
  local at = one[2]
  -- From here on nobody finds a long history; removing what points at it is for the sweep, in pieces.
  if redis.call('EXISTS', KEYS[at]) == 1 then redis.call('RENAME', KEYS[at], KEYS[at + 3]) end
  redis.call('UNLINK', KEYS[at + 1], KEYS[at + 2])
  redis.call('ZREM', KEYS[9], one[1])
end
for _, what in ipairs(plan.gone) do redis.call('ZADD', KEYS[8], 0, what) end
live(KEYS[8], tonumber(ARGV[6]))
add(1, 11, #ARGV)
added(1, tonumber(ARGV[9]))
return 'committed'`,
)
