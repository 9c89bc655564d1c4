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
 * Leases what is due of lines, on a Redis that is full, too.
 *
 * KEYS  the line of each
 * ARGV  1 now · 2 until · from 3 of each how many at most
 * Returns for each a list of members.
 */
export const kvTakePlaces = defineScript(
  'KvTakePlaces',
  WHEN_FULL,
  `
local answers = {}
for at, line in ipairs(KEYS) do
  local found = redis.call('ZRANGEBYSCORE', line, '-inf', ARGV[1], 'LIMIT', 0, ARGV[2 + at])
  local rows, taken, left = {}, {}, tonumber(ARGV[2 + at])
  for nth, member in ipairs(found) do
    local weight = string.byte(member, 8)
    if weight > left and nth > 1 then break end
    left = left - weight
    rows[2 * nth - 1] = ARGV[2]
    rows[2 * nth] = member
    taken[nth] = member
  end
  if #rows > 0 then redis.call('ZADD', line, unpack(rows)) end
  answers[at] = taken
end
return answers`,
)
