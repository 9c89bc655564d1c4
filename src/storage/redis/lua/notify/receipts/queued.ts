import { defineScript } from '../../../script.ts'

/**
 * Queued copies of a notification in one partition, whose entry is free.
 *
 * KEYS  1 queued · 2 free · 3 held · 4 ids
 * ARGV  1 now · 2 how many at most · 3 the row behind which to begin, empty for none · 4 how many to look at
 * Returns the row to go on behind, empty at the end, then three of each copy: id, name of its account, its subscription
 * (empty when that has ended).
 */
export const queuedScript = defineScript(
  'NotifyQueued',
  `
local start = ARGV[3] == '' and '-' or '(' .. ARGV[3]
local rows = redis.call('ZRANGEBYLEX', KEYS[1], start, '+', 'LIMIT', 0, ARGV[4])
local answer = { #rows < tonumber(ARGV[4]) and '' or rows[#rows] }
local before = ARGV[3]
for _, row in ipairs(rows) do
  local account, id = string.match(row, '^(.-)%z.-%z.-%z(.*)$')
  local held = tonumber(redis.call('ZSCORE', KEYS[3], id) or 0)
  local isFree = held > 0 and (held <= tonumber(ARGV[1]) or held % 1 ~= 0) or redis.call('ZSCORE', KEYS[2], id)
  if isFree then
    if #answer > 3 * tonumber(ARGV[2]) then
      answer[1] = before
      break
    end
    answer[#answer + 1] = id
    answer[#answer + 1] = account
    answer[#answer + 1] = redis.call('HGET', KEYS[4], id) or ''
  end
  before = row
end
return answer`,
)
