import { defineScript } from '../../../script.ts'

/**
 * Makes an account a candidate of a look-up. The value is a mark of this writing and the candidates, the latest first,
 * each behind a zero byte; at most four. The mark lets a sweep remove only what it has looked at.
 *
 * KEYS  1 the look-up
 * ARGV  1 account · 2 mark · 3 ttl · 4 'keep' when a candidate keeps its rank
 */
export const pointScript = defineScript(
  'NotifyPoint',
  `
local candidates, isKnown = {}, false
for one in string.gmatch(redis.call('GET', KEYS[1]) or '', '%z([^%z]+)') do
  if one ~= ARGV[1] then
    candidates[#candidates + 1] = one
  elseif ARGV[4] == 'keep' then
    candidates[#candidates + 1] = one
    isKnown = true
  end
end
if not isKnown then table.insert(candidates, 1, ARGV[1]) end
local value = ARGV[2]
for at = 1, math.min(#candidates, 4) do value = value .. '\\0' .. candidates[at] end
redis.call('SET', KEYS[1], value, 'PX', math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[1])))
return 1`,
)
