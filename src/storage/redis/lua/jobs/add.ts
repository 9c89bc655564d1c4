import { defineScript } from '../../script.ts'
import { LIVE } from '../notify/parts.ts'

/**
 * Adds jobs of one group; one whose id exists is left as it is.
 *
 * KEYS  1 jobs · 2 due · 3 expiry · 4 the group's waiting jobs, or its dead ones
 * ARGV  1 how long the keys must live, ms; then for each job: id, at (empty for a dead one), expiresAt, JSON
 * Returns for each: 1 when it is new.
 */
export const jobsAdd = defineScript(
  'AgendaAdd',
  LIVE,
  `
local new = {}
for at = 2, #ARGV, 4 do
  local id = ARGV[at]
  local is = redis.call('HSETNX', KEYS[1], id, ARGV[at + 3])
  if is == 1 then
    if ARGV[at + 1] ~= '' then redis.call('ZADD', KEYS[2], ARGV[at + 1], id) end
    redis.call('ZADD', KEYS[3], ARGV[at + 2], id)
    redis.call('ZADD', KEYS[4], 0, id)
  end
  new[#new + 1] = is
end
for _, key in ipairs(KEYS) do live(key, tonumber(ARGV[1])) end
return new`,
)
