import { defineScript } from '../../../script.ts'
import { ADD, LIVE } from '../parts.ts'
import { RECEIPTS } from '../receipts/receipt-rows.ts'

/**
 * Hands a notification to subscriptions of one partition; of several where slots do not count.
 *
 * KEYS  of each partition: entries, free, order, held, expiring, ids, queued, others, then four of each target: account,
 *       copies, unread, rows; with a collapse key three more: what its last copy is, queued and others of that one's
 *       notification (any of the partition's for none)
 * ARGV  1 now · 2 sentAt · 3 expiresAt · 4 reference of the notification · 5 ttl of the copies · 6 ttl of the receipts ·
 *       7 ttl of the outbox · 8 with a collapse key its notification's place, else empty · 9 the reason for what is
 *       replaced · 10 empty, or until when one entry for all that are sent is leased: then 11 its id, 12 its proposed place
 *       in the outbox, 13 its text; it lies in the first partition · from 14 of each partition: number of targets, then
 *       eight of each: subscription, what a record says that holds it, name of the account, form of the account, when the
 *       receipt begins, id of the copy, its proposed place in the outbox, the text of its entry; with a collapse key two
 *       more: what its last copy was, the id of that
 * Returns a number for each target: 0 sent, 1 repeated, 2 gone, 3 its last copy is another by now.
 */
export const handScript = defineScript(
  'NotifyHand',
  LIVE,
  ADD,
  RECEIPTS,
  `
local answers = {}
local now, ttl = tonumber(ARGV[1]), tonumber(ARGV[5])
local row = ARGV[3] .. ' ' .. ARGV[4]
local collapses = ARGV[8] ~= ''
local keysEach, argsEach = collapses and 7 or 4, collapses and 10 or 8
local leasedUntil, isSent = ARGV[10], false

local function collapse(base, key, arg)
  local last = ARGV[arg + 9]
  if last ~= '' and redis.call('ZSCORE', KEYS[key + 2], last) and
    move(KEYS[key + 5], KEYS[key + 6], ARGV[arg + 2], last, '21', '5', ARGV[arg + 4], ARGV[9]) then
    withdraw(KEYS[key + 2], KEYS[key + 3], last)
    redis.call('HDEL', KEYS[base], last)
    redis.call('ZREM', KEYS[base + 1], last)
    redis.call('ZREM', KEYS[base + 3], last)
  end
  redis.call('SET', KEYS[key + 4], ARGV[8] .. ' ' .. ARGV[arg + 5], 'PX', ttl)
end

local function hand(base, key, arg, hasQueued, hasOthers)
  local record = redis.call('GET', KEYS[key])
  if not record or not string.find(record, ARGV[arg + 1], 1, true) then return 2 end
  local id, account = ARGV[arg + 5], ARGV[arg + 2]
  local known = redis.call('HGET', KEYS[key + 3], id)
  if known and tonumber(string.match(known, '^%S+')) > now then return 1 end
  if collapses then
    if (redis.call('GET', KEYS[key + 4]) or '') ~= ARGV[arg + 8] then return 3 end
    collapse(base, key, arg)
  end
  redis.call('ZADD', KEYS[key + 1], ARGV[2], id)
  redis.call('ZADD', KEYS[key + 2], ARGV[2], id)
  redis.call('HSET', KEYS[key + 3], id, row)
  redis.call('HSET', KEYS[base + 5], id, ARGV[arg])
  redis.call('ZADD', KEYS[base + 4], 'LT', ARGV[3], ARGV[arg])
  -- All of one subscription live equally long, but for the unread ones: they are gone when all are read.
  if redis.call('PTTL', KEYS[key + 1]) < ttl then
    live(KEYS[key + 1], ttl)
    live(KEYS[key + 3], ttl)
  end
  live(KEYS[key + 2], ttl)
  -- The account may have been refused, or had another subscription: its receipt begins anew.
  local old = hasQueued and find(KEYS[base + 6], account)
  if old then redis.call('ZREM', KEYS[base + 6], old) end
  for state = 2, hasOthers and 5 or 0 do
    old = find(KEYS[base + 7], state .. account)
    if old then redis.call('ZREM', KEYS[base + 7], old) end
  end
  redis.call('ZADD', KEYS[base + 6], 0, account .. '\\0' .. ARGV[arg + 3] .. '\\0' .. ARGV[arg + 4] .. '\\0' .. id)
  if leasedUntil == '' then add(base, arg + 5, arg + 7) end
  isSent = true
  return 0
end

local function addLeased()
  local place = math.max(tonumber(redis.call('GET', KEYS[3]) or 0) + 1, tonumber(ARGV[12]))
  local text = string.format('%.0f', place)
  redis.call('HSET', KEYS[1], ARGV[11], text .. ' ' .. ARGV[13])
  redis.call('ZADD', KEYS[4], leasedUntil, ARGV[11])
  redis.call('SET', KEYS[3], text)
  live(KEYS[1], tonumber(ARGV[7]))
  live(KEYS[4], tonumber(ARGV[7]))
end

local base, arg = 1, 14
while base <= #KEYS do
  local count = tonumber(ARGV[arg])
  local hasQueued = redis.call('EXISTS', KEYS[base + 6]) == 1
  local hasOthers = redis.call('EXISTS', KEYS[base + 7]) == 1
  arg = arg + 1
  for at = 0, count - 1 do
    answers[#answers + 1] = hand(base, base + 8 + keysEach * at, arg, hasQueued, hasOthers)
    arg = arg + argsEach
  end
  live(KEYS[base + 4], ttl)
  live(KEYS[base + 5], ttl)
  live(KEYS[base + 6], tonumber(ARGV[6]))
  added(base, tonumber(ARGV[7]))
  base = base + 8 + keysEach * count
end
if leasedUntil ~= '' and isSent then addLeased() end
return answers`,
)
