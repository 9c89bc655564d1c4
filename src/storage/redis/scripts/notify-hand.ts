import { defineScript } from '../scripts.ts'
import { ADD, LIVE } from './notify-parts.ts'

/**
 * Hands a notification to subscriptions of one partition.
 *
 * KEYS  1 entries · 2 free · 3 order · 4 expiring · 5 ids · from 6 four of each target: account, copies, unread, rows
 * ARGV  1 now · 2 sentAt · 3 expiresAt · 4 reference of the notification · 5 ttl of the copies · 6 ttl of the outbox ·
 *       from 7 six of each target: subscription, id of the copy, what a record says that holds the subscription, id of
 *       the outbox entry, its proposed place, its JSON
 * Answers a number for each: 0 sent, 1 repeated, 2 gone.
 */
export const handScript = defineScript(
  'NotifyHand',
  LIVE,
  ADD,
  `
local answers = {}
local now, ttl = tonumber(ARGV[1]), tonumber(ARGV[5])
local arg = 7
for key = 6, #KEYS, 4 do
  local record = redis.call('GET', KEYS[key])
  local id = ARGV[arg + 1]
  local answer = 0
  if not record or not string.find(record, ARGV[arg + 2], 1, true) then
    answer = 2
  else
    local row = redis.call('HGET', KEYS[key + 3], id)
    if row and tonumber(string.match(row, '^%S+')) > now then answer = 1 end
  end
  if answer == 0 then
    redis.call('ZADD', KEYS[key + 1], ARGV[2], id)
    redis.call('ZADD', KEYS[key + 2], ARGV[2], id)
    redis.call('HSET', KEYS[key + 3], id, ARGV[3] .. ' ' .. ARGV[4])
    redis.call('HSET', KEYS[5], id, ARGV[arg])
    redis.call('ZADD', KEYS[4], 'LT', ARGV[3], ARGV[arg])
    -- All of one subscription live equally long, but for the unread ones: they are gone when all are read.
    if redis.call('PTTL', KEYS[key + 1]) < ttl then
      live(KEYS[key + 1], ttl)
      live(KEYS[key + 3], ttl)
    end
    live(KEYS[key + 2], ttl)
    add(arg + 3, arg + 5)
  end
  answers[#answers + 1] = answer
  arg = arg + 6
end
live(KEYS[4], ttl)
live(KEYS[5], ttl)
added(tonumber(ARGV[6]))
return answers`,
)
