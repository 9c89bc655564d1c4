import { defineScript } from '../../script.ts'

/**
 * A range of rows.
 *
 * KEYS  1 the rows; of an index the order alone · 2 the order
 * ARGV  1 from · 2 to, as `ZRANGE … BYLEX` takes them · 3 limit · 4 1 for backwards
 * Returns of each row its key and, where there are rows, its value.
 */
export const kvRange = defineScript(
  'KvRange',
  `
local order = KEYS[#KEYS]
local keys = ARGV[4] == '1'
  and redis.call('ZRANGE', order, ARGV[2], ARGV[1], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])
  or redis.call('ZRANGE', order, ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
if #KEYS == 1 or #keys == 0 then return { keys, {} } end
local values = {}
for at = 1, #keys, 1000 do
  local some = redis.call('HMGET', KEYS[1], unpack(keys, at, math.min(at + 999, #keys)))
  for _, value in ipairs(some) do values[#values + 1] = value end
end
return { keys, values }`,
)
