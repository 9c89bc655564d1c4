import { defineScript } from '../../../script.ts'

/**
 * Receipts of partitions, in the order of their accounts within each state.
 *
 * KEYS  two of each partition: queued, others
 * ARGV  1 the digits of the states · of each partition two: where to begin (behind, or empty), how many of each state
 * Returns a list for each partition: a list for each state.
 */
export const receiptsScript = defineScript(
  'NotifyReceipts',
  `
local answers = {}
for key = 1, #KEYS, 2 do
  local after, limit = ARGV[key + 1], ARGV[key + 2]
  local lists = {}
  for digit in string.gmatch(ARGV[1], '.') do
    local isQueued = digit == '1'
    local prefix = isQueued and '' or digit
    local start = after == '' and (isQueued and '-' or '[' .. digit) or '(' .. prefix .. after
    local stop = isQueued and '+' or '(' .. (digit + 1)
    lists[#lists + 1] = redis.call('ZRANGEBYLEX', KEYS[isQueued and key or key + 1], start, stop, 'LIMIT', 0, limit)
  end
  answers[#answers + 1] = lists
end
return answers`,
)
