import { defineScript } from '../../script.ts'
import { TOPIC } from './topic.ts'

/**
 * Stores messages of one topic, in order.
 *
 * KEYS[1] hash of the topic; KEYS[1 + i] text of the i-th message
 * ARGV[1] most messages, [2] most bytes, [3] how many times as much a topic with an owner may have, [4] the part that a
 *      full topic keeps, [5] ms that things are kept beyond their expiry; then of each message
 *      id, size, publisher, publishedAt, expiresAt, the same where nobody else is subscribed, payer, text
 * Answers `{due, dropped, one, two, …}`: `due` is when the topic must be swept, where that is news, else ''; `dropped`
 * holds id and seq of each message that is out; the others are `{0}` full, `{1, …}` duplicate, `{2, seq, previous, displaced, …}`
 * stored, continued by client id and flags (1 caught up, 2 wants a hint) of each subscriber; after a duplicate, of those
 * for whom something waits.
 */
export const relayPublish = defineScript(
  'RelayPublish',
  TOPIC,
  `
local mostMessages, mostBytes, grace = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
if owner then mostMessages, mostBytes = mostMessages * tonumber(ARGV[3]), mostBytes * tonumber(ARGV[3]) end
local kept = tonumber(ARGV[4])
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
local members
local due = ''

local function subscribers()
  if members then return members end
  members = {}
  local all = {}
  if owner then all[1] = readMember(owner)
  elseif subscribed > 0 then all = allMembers() end
  for _, member in ipairs(all) do
    if member.mode > 0 then members[#members + 1] = member end
  end
  return members
end

local function isOver(size) return count + 1 > mostMessages or bytes + size > mostBytes end

local function dropExpired(now)
  local expired = {}
  soonest = huge
  for seq, entry in messages(first, last) do
    local expiresAt = parse(entry)
    if expiresAt <= now then expired[#expired + 1] = { seq, entry }
    elseif expiresAt < soonest then soonest = expiresAt end
  end
  for _, one in ipairs(expired) do drop(one[1], one[2]) end
end

-- Drops what every subscriber has, oldest first, while there is too much.
local function dropFinished(now, isTooMuch)
  if not isTooMuch() or #subscribers() == 0 then return end
  local everybodyHas = last
  for _, member in ipairs(subscribers()) do
    advance(member, last, now)
    everybodyHas = math.min(everybodyHas, member.cursor)
  end
  for seq, entry in messages(first, everybodyHas) do
    if not isTooMuch() then return end
    drop(seq, entry)
  end
end

-- The share that every payer may keep so that all together keep at most target; who has less keeps all.
local function levelOf(held, target)
  local amounts = {}
  for _, amount in pairs(held) do amounts[#amounts + 1] = amount end
  table.sort(amounts)
  local rest, payers = target, #amounts
  for _, amount in ipairs(amounts) do
    if amount * payers > rest then return rest / payers end
    rest, payers = rest - amount, payers - 1
  end
  return huge
end

-- Drops the oldest of the largest payers until target is left of messages, or of bytes.
local function displace(byBytes, target)
  local total = byBytes and bytes or count
  if total <= target then return 0 end
  local held, all, gone = {}, {}, 0
  for seq, entry in messages(first, last) do
    local _, size, _, _, payer = parse(entry)
    local amount = byBytes and size or 1
    held[payer] = (held[payer] or 0) + amount
    all[#all + 1] = { seq, entry, payer, amount }
  end
  local level = levelOf(held, target)
  for _, one in ipairs(all) do
    if total <= target then break end
    local payer, amount = one[3], one[4]
    if held[payer] > level then
      held[payer], total, gone = held[payer] - amount, total - amount, gone + 1
      drop(one[1], one[2])
    end
  end
  return gone
end

-- Makes room for many messages at a time, so that the walk over the topic is made once in a while. Answers how many
-- messages went that somebody still waited for.
local function makeRoom(size, now)
  local messagesLeft = math.min(mostMessages - 1, floor(mostMessages * kept))
  local bytesLeft = math.min(mostBytes - size, floor(mostBytes * kept))
  if soonest <= now then dropExpired(now) end
  dropFinished(now, function() return count > messagesLeft or bytes > bytesLeft end)
  return displace(false, messagesLeft) + displace(true, bytesLeft)
end

local answers = {}
for i = 1, #KEYS - 1 do
  local at = 6 + (i - 1) * 8
  local id, size, publisher = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local now, expiresAt = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local isDuplicate = false
  local earlier = string.match(redis.call('GETRANGE', KEYS[1 + i], 0, 16), '^%d+')
  local entry = earlier and redis.call('HGET', key, earlier)
  if entry then
    local until_, _, _, known = parse(entry)
    if known == id then
      isDuplicate = until_ > now
      if not isDuplicate then drop(tonumber(earlier), entry) end
    end
  end
  if isDuplicate then
    -- Whoever was to be told at the first attempt may not have been.
    local answer = { 1 }
    for _, member in ipairs(subscribers()) do
      if member.cursor < last then
        answer[#answer + 1] = member.name
        answer[#answer + 1] = member.mode == 2 and 2 or 0
      end
    end
    due = string.format('%.17g', soonest)
    answers[i] = answer
  elseif size > mostBytes then
    answers[i] = { 0 }
  else
    local displaced = isOver(size) and makeRoom(size, now) or 0
    local expiry, unattended, isAttended = ARGV[at + 4], ARGV[at + 5], false
    for _, member in ipairs(subscribers()) do isAttended = isAttended or member.name ~= publisher end
    if not isAttended and tonumber(unattended) < expiresAt then
      expiry, expiresAt = unattended, tonumber(unattended)
    end
    local previous = last
    -- A topic that was forgotten begins beyond all that it ever gave: microseconds pass faster than messages.
    local seq = last > 0 and last + 1 or (tonumber(time[1]) - 1735689600) * 1000000 + tonumber(time[2])
    local text = fmt(seq)
    local ttl = math.max(math.ceil(expiresAt - now), 1) + grace
    redis.call('SET', KEYS[1 + i], text .. ' ' .. expiry .. ' ' .. ARGV[at + 7], 'PX', fmt(ttl))
    known[seq] = entryOf(expiry, size, publisher, id, ARGV[at + 6])
    redis.call('HSET', key, text, known[seq])
    if count == 0 then first = seq end
    last, count, bytes = seq, count + 1, bytes + size
    gone = math.max(gone, clock + ttl)
    if expiresAt < soonest then
      soonest = expiresAt
      due = expiry
    end
    local answer = { 2, text, fmt(previous), displaced }
    for _, member in ipairs(subscribers()) do
      local isOwn = member.name == publisher
      advance(member, isOwn and seq or seq - 1, now)
      if not isOwn then
        answer[#answer + 1] = member.name
        answer[#answer + 1] = (member.cursor >= seq - 1 and 1 or 0) + (member.mode == 2 and 2 or 0)
      end
    end
    answers[i] = answer
  end
end

for _, member in ipairs(members or {}) do
  if member.dirty then writeMember(member) end
end
if last > 0 then finish() end
return { due, dropped, unpack(answers) }
`,
)
