import { defineScript, WHEN_FULL } from '../../script.ts'

/**
 * What queues have that is due.
 *
 * KEYS  the order of each
 * ARGV  1 now
 * Returns two for each: how many are due, and when the first one was, as text.
 */
export const kvPeek = defineScript(
  'KvPeek',
  `
local answers = {}
for at, order in ipairs(KEYS) do
  local due = redis.call('ZCOUNT', order, '-inf', ARGV[1])
  local head = due > 0 and redis.call('ZRANGE', order, 0, 0, 'WITHSCORES') or {}
  answers[2 * at - 1] = due
  answers[2 * at] = head[2] or '0'
end
return answers`,
)

/**
 * Leases what is due, on a Redis that is full, too. What has ended is removed.
 *
 * KEYS  two of each queue: rows, order
 * ARGV  1 now · 2 until · from 3 of each queue how many at most
 * Returns for each queue a list: id, value, and when it was due, of each.
 */
export const kvTake = defineScript(
  'KvTake',
  WHEN_FULL,
  `
local answers = {}
for at = 1, #KEYS, 2 do
  local rows, order, taken = KEYS[at], KEYS[at + 1], {}
  local most = ARGV[2 + (at + 1) / 2]
  local due = redis.call('ZRANGEBYSCORE', order, '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, most)
  for nth = 1, #due, 2 do
    local id = due[nth]
    local value = redis.call('HGET', rows, id)
    local ends = value and struct.unpack('>d', value)
    if not value or ends > 0 and ends <= tonumber(ARGV[1]) then
      redis.call('ZREM', order, id)
      redis.call('HDEL', rows, id)
    else
      redis.call('ZADD', order, ARGV[2], id)
      taken[#taken + 1] = id
      taken[#taken + 1] = string.sub(value, 9)
      taken[#taken + 1] = due[nth + 1]
    end
  end
  answers[#answers + 1] = taken
end
return answers`,
)

/**
 * What lines have that is due.
 *
 * KEYS  the line of each
 * ARGV  1 now · of rows that come back: 2 and 3 the scores of leases, 4 and 5 of what was returned
 * Returns two for each: how many rows are due, and the key of the first one; '' where one comes back.
 */
export const kvPeekLine = defineScript(
  'KvPeekLine',
  `
local answers = {}
for at, line in ipairs(KEYS) do
  local back = redis.call('ZCOUNT', line, ARGV[2], ARGV[3]) + redis.call('ZCOUNT', line, ARGV[4], ARGV[5])
  local due = redis.call('ZCOUNT', line, '-inf', ARGV[1])
  local head = back == 0 and due > 0 and redis.call('ZRANGE', line, 0, 0)[1] or ''
  answers[2 * at - 1] = back + due
  answers[2 * at] = string.sub(head, 1, 8)
end
return answers`,
)

/**
 * Leases what is due of lines, on a Redis that is full, too. What comes back is taken first.
 *
 * KEYS  the line of each
 * ARGV  1 to 5 as above · 6 the score of the lease · 7 whether the first row may stand for more · from 8 of each how many at most
 * Returns for each a list of members.
 */
export const kvTakePlaces = defineScript(
  'KvTakePlaces',
  WHEN_FULL,
  `
local bands = { { ARGV[2], ARGV[3] }, { ARGV[4], ARGV[5] }, { '-inf', ARGV[1] } }
local answers = {}
for at, line in ipairs(KEYS) do
  local rows, taken, left = {}, {}, tonumber(ARGV[7 + at])
  for _, band in ipairs(bands) do
    if left <= 0 then break end
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', line, band[1], band[2], 'LIMIT', 0, left)) do
      local weight = string.byte(member, 8)
      if left <= 0 or weight > left and (at > 1 or #taken > 0 or ARGV[7] == '') then
        left = 0
        break
      end
      left = left - weight
      rows[#rows + 1] = ARGV[6]
      rows[#rows + 1] = member
      taken[#taken + 1] = member
    end
  end
  if #rows > 0 then redis.call('ZADD', line, unpack(rows)) end
  answers[at] = taken
end
return answers`,
)

/**
 * Ends leases, on a Redis that is full, too.
 *
 * KEYS  1 a line
 * ARGV  1 the score that rows get · from 2 members, each before the score that it has
 */
export const kvReleasePlaces = defineScript(
  'KvReleasePlaces',
  WHEN_FULL,
  `
for at = 2, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[at])
  if score and tonumber(score) == tonumber(ARGV[at + 1]) then redis.call('ZADD', KEYS[1], ARGV[1], ARGV[at]) end
end`,
)

/**
 * KEYS  lines
 * Returns for each how many things its rows stand for.
 */
export const kvWeigh = defineScript(
  'KvWeigh',
  `
local answers = {}
for at, line in ipairs(KEYS) do
  local sum, from = 0, 0
  repeat
    local members = redis.call('ZRANGE', line, from, from + 999)
    for _, member in ipairs(members) do sum = sum + string.byte(member, 8) end
    from = from + 1000
  until #members < 1000
  answers[at] = sum
end
return answers`,
)
