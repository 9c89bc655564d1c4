import { defineScript } from '../scripts.ts'
import { TOPIC } from './relay-topic.ts'

/**
 * Stores messages of one topic, in order.
 *
 * KEYS[1] hash of the topic; KEYS[1 + i] text of the i-th message
 * ARGV[1] most messages, [2] most bytes, [3] ms that things are kept beyond their expiry; then of each message
 *      id, size, publisher, publishedAt, expiresAt, text
 * Answers `{due, dropped, one, two, …}`: `due` is when the topic must be swept, where that is news, else ''; `dropped`
 * holds id and seq of each message that is out; the others are `{0}` full, `{1, …}` duplicate, `{2, seq, previous, …}`
 * stored, continued by client id and flags (1 caught up, 2 wants a hint) of each subscriber; after a duplicate, of those
 * for whom something waits.
 */
export const relayPublish = defineScript(
  'RelayPublish',
  TOPIC,
  `
local mostMessages, mostBytes, grace = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
local members
local due = ''

local function subscribers()
  if members then return members end
  members = {}
  for _, member in ipairs(subscribed > 0 and allMembers() or {}) do
    if member.mode > 0 then members[#members + 1] = member end
  end
  return members
end

local function isOver(size) return count + 1 > mostMessages or bytes + size > mostBytes end

-- First what expired, then what everybody has.
local function makeRoom(size, now)
  if soonest <= now then
    local expired = {}
    soonest = huge
    for seq, entry in messages(first, last) do
      local expiresAt = parse(entry)
      if expiresAt <= now then expired[#expired + 1] = { seq, entry }
      elseif expiresAt < soonest then soonest = expiresAt end
    end
    for _, one in ipairs(expired) do drop(one[1], one[2]) end
  end
  if not isOver(size) then return true end
  if #subscribers() == 0 or size > mostBytes then return false end
  local everybodyHas = last
  for _, member in ipairs(subscribers()) do
    advance(member, last, now)
    everybodyHas = math.min(everybodyHas, member.cursor)
  end
  for seq, entry in messages(first, everybodyHas) do
    drop(seq, entry)
    if not isOver(size) then return true end
  end
  return false
end

local answers = {}
for i = 1, #KEYS - 1 do
  local at = 4 + (i - 1) * 6
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
  elseif isOver(size) and not makeRoom(size, now) then
    answers[i] = { 0 }
  else
    local previous = last
    -- A topic that was forgotten begins beyond all that it ever gave: microseconds pass faster than messages.
    local seq = last > 0 and last + 1 or (tonumber(time[1]) - 1735689600) * 1000000 + tonumber(time[2])
    local text = fmt(seq)
    local ttl = math.max(math.ceil(expiresAt - now), 1) + grace
    redis.call('SET', KEYS[1 + i], text .. ' ' .. ARGV[at + 5], 'PX', fmt(ttl))
    known[seq] = ARGV[at + 4] .. ' ' .. size .. ' ' .. hashOf(publisher) .. ' ' .. id
    redis.call('HSET', key, text, known[seq])
    if count == 0 then first = seq end
    last, count, bytes = seq, count + 1, bytes + size
    gone = math.max(gone, clock + ttl)
    if expiresAt < soonest then
      soonest = expiresAt
      due = ARGV[at + 4]
    end
    local answer = { 2, text, fmt(previous) }
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
