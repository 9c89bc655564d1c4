import { defineScript } from '../../../script.ts'

/**
 * How many receipts of a notification partitions have in each state.
 *
 * KEYS  two of each partition: queued, others
 * Returns five numbers, in the order of the digits.
 */
export const countsScript = defineScript(
  'NotifyCounts',
  `
local counts = { 0, 0, 0, 0, 0 }
for key = 1, #KEYS, 2 do
  counts[1] = counts[1] + redis.call('ZCARD', KEYS[key])
  for state = 2, redis.call('EXISTS', KEYS[key + 1]) == 1 and 5 or 0 do
    counts[state] = counts[state] + redis.call('ZLEXCOUNT', KEYS[key + 1], '[' .. state, '(' .. (state + 1))
  end
end
return counts`,
)
