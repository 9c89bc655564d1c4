import { defineScript } from '../scripts.ts'
import { ADD, LIVE } from './notify-parts.ts'

/**
 * Hands a notification to subscriptions of one partition; of several where slots do not count.
 *
 * KEYS  of each partition: entries, free, order, expiring, ids, then four of each target: account, copies, unread, rows
 * ARGV  1 now · 2 sentAt · 3 expiresAt · 4 reference of the notification · 5 ttl of the copies · 6 ttl of the outbox ·
 *       from 7 of each partition: number of targets, then six of each: subscription, id of the copy, what a record says
 *       that holds the subscription, id of the outbox entry, its proposed place, its JSON
 * Answers a number for each target: 0 sent, 1 repeated, 2 gone.
 */
export const handScript = defineScript(
  'NotifyHand',
  LIVE,
  ADD,
  `
local answers = {}
local now, ttl = tonumber(ARGV[1]), tonumber(ARGV[5])
local row = ARGV[3] .. ' ' .. ARGV[4]

local function hand(base, key, arg)
  local record = redis.call('GET', KEYS[key])
  if not record or not string.find(record, ARGV[arg + 2], 1, true) then return 2 end
  local id = ARGV[arg + 1]
  local known = redis.call('HGET', KEYS[key + 3], id)
  if known and tonumber(string.match(known, '^%S+')) > now then return 1 end
  redis.call('ZADD', KEYS[key + 1], ARGV[2], id)
  redis.call('ZADD', KEYS[key + 2], ARGV[2], id)
  redis.call('HSET', KEYS[key + 3], id, row)
  redis.call('HSET', KEYS[base + 4], id, ARGV[arg])
  redis.call('ZADD', KEYS[base + 3], 'LT', ARGV[3], ARGV[arg])
  -- All of one subscription live equally long, but for the unread ones: they are gone when all are read.
  if redis.call('PTTL', KEYS[key + 1]) < ttl then
    live(KEYS[key + 1], ttl)
    live(KEYS[key + 3], ttl)
  end
  live(KEYS[key + 2], ttl)
  add(base, arg + 3, arg + 5)
  return 0
end

local base, arg = 1, 7
while base <= #KEYS do
  local count = tonumber(ARGV[arg])
  arg = arg + 1
  for at = 0, count - 1 do
    answers[#answers + 1] = hand(base, base + 5 + 4 * at, arg)
    arg = arg + 6
  end
  live(KEYS[base + 3], ttl)
  live(KEYS[base + 4], ttl)
  added(base, tonumber(ARGV[6]))
  base = base + 5 + 4 * count
end
return answers`,
)
