import { defineScript } from '../../script.ts'

/**
 * Changes jobs of one group that are there: `done` removes, `again` makes due at an instant, `failed` makes a dead
 * letter, `revive` makes a dead letter due. The caller has worked out the new JSON.
 *
 * KEYS  1 jobs · 2 due · 3 expiry · 4 the group's waiting jobs · 5 its dead ones
 * ARGV  for each job: id, what, at, JSON
 * Returns for each: 1 when it was there (for `revive`: when it was dead).
 */
export const jobsChange = defineScript(
  'AgendaChange',
  `
local was = {}
for at = 1, #ARGV, 4 do
  local id, what = ARGV[at], ARGV[at + 1]
  local is = redis.call('HEXISTS', KEYS[1], id)
  if what == 'revive' and not redis.call('ZSCORE', KEYS[5], id) then is = 0 end
  if is == 1 then
    if what == 'done' then
      redis.call('HDEL', KEYS[1], id)
      redis.call('ZREM', KEYS[2], id)
      redis.call('ZREM', KEYS[3], id)
      redis.call('ZREM', KEYS[4], id)
      redis.call('ZREM', KEYS[5], id)
    else
      redis.call('HSET', KEYS[1], id, ARGV[at + 3])
      if what == 'failed' then
        redis.call('ZREM', KEYS[2], id)
        redis.call('ZREM', KEYS[4], id)
        redis.call('ZADD', KEYS[5], 0, id)
      else
        redis.call('ZADD', KEYS[2], ARGV[at + 2], id)
        redis.call('ZREM', KEYS[5], id)
        redis.call('ZADD', KEYS[4], 0, id)
      end
    end
  end
  was[#was + 1] = is
end
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then
  for key = 2, 5 do redis.call('PEXPIRE', KEYS[key], ttl) end
end
return was`,
)
