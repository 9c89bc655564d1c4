/**
 * What the scripts of one topic share. It goes before their own text; KEYS[1] is the hash of the topic:
 *
 * | field | value |
 * |---|---|
 * | `h` | `last first count bytes`: last seq ever given, none is live below `first`, how many messages, their bytes |
 * | `x` | `soonest gone`: nothing expires before `soonest` (callers' time); the last message is gone at `gone` (Redis' time) |
 * | `n` | `slots subscribed`: members, and how many of them are subscribed |
 * | `o` | client id of the owner, where there is one: nobody else is subscribed, fetches or acknowledges |
 * | `<seq>` | `expiresAt size publisher id payer`: a live message; publisher as 12 hex digits of its SHA-1, id as in the key of its text, at most 8 characters of the payer |
 * | `s<slot>` | client id of a member: how all members are found without reading the messages |
 * | `c<client id>` | `mode slot cursor ranges`: mode 0 not subscribed, 1 subscribed, 2 subscribed with hints; everything up to `cursor` is done with, and of what is beyond it `from-to,from-to` |
 *
 * All values but long ranges stay within 64 bytes, for which Redis has its compact form.
 *
 * The texts of the messages are keys of their own, so that each vanishes with its TTL; they begin with their seq.
 */
export const TOPIC = `
local key = KEYS[1]
local floor, huge = math.floor, math.huge
local function fmt(n) return string.format('%.0f', n) end

local head = redis.call('HMGET', key, 'h', 'x', 'n', 'o')
local owner = head[4]
local last, first, count, bytes = 0, 1, 0, 0
if head[1] then
  local a, b, c, d = string.match(head[1], '^(%d+) (%d+) (%d+) (%d+)$')
  last, first, count, bytes = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
end
local soonest, gone = huge, 0
if head[2] then
  local a, b = string.match(head[2], '^(%S+) (%d+)$')
  soonest, gone = tonumber(a), tonumber(b)
end
local slots, subscribed = 0, 0
if head[3] then
  local a, b = string.match(head[3], '^(%d+) (%d+)$')
  slots, subscribed = tonumber(a), tonumber(b)
end
local dropped = {}

local function parse(entry)
  local expiresAt, size, publisher, id, payer = string.match(entry, '^(%S+) (%d+) (%S+) (%S+) ?(%S*)$')
  return tonumber(expiresAt), tonumber(size), publisher, id, payer
end
local function hashOf(client) return string.sub(redis.sha1hex(client), 1, 12) end
local function entryOf(expiresAt, size, publisher, id, payer)
  return expiresAt .. ' ' .. size .. ' ' .. hashOf(publisher) .. ' ' .. id .. ' ' .. string.sub(payer, 1, 8)
end
local function isForeign(name) return owner and owner ~= name end

-- What is known of messages by seq; false where there is none. Members stand at about the same place.
local known = {}
local function entries(from, upto)
  local names = {}
  for seq = from, upto do
    if known[seq] == nil then names[#names + 1] = fmt(seq) end
  end
  if #names > 0 then
    local values, i = redis.call('HMGET', key, unpack(names)), 0
    for seq = from, upto do
      if known[seq] == nil then
        i = i + 1
        known[seq] = values[i]
      end
    end
  end
end

-- Live messages from..upto in order. Numbers are dense but for what expired early: gaps are walked over, and where they
-- are long the fields are listed once instead.
local function messages(from, upto)
  local isFirst = from <= first
  if isFirst then from = first end
  local at, chunk, misses = from, 4, 0
  local base, size, i = 0, 0, 0
  local sorted
  return function()
    while true do
      if sorted then
        i = i + 1
        local seq = sorted[i]
        if not seq or seq > upto then return nil end
        local entry = redis.call('HGET', key, fmt(seq))
        if entry then return seq, entry end
      else
        if i >= size then
          if at > upto or count == 0 then return nil end
          size = math.min(chunk, upto - at + 1)
          entries(at, at + size - 1)
          base, at, i = at, at + size, 0
          chunk = math.min(chunk * 4, 512)
        end
        i = i + 1
        local seq = base + i - 1
        local entry = known[seq]
        if entry then
          if isFirst then first = seq end
          isFirst, misses = false, 0
          return seq, entry
        end
        misses = misses + 1
        if misses > 2000 then
          sorted, i = {}, 0
          for _, name in ipairs(redis.call('HKEYS', key)) do
            local number = tonumber(name)
            if number and number >= from and number > seq then sorted[#sorted + 1] = number end
          end
          table.sort(sorted)
        end
      end
    end
  end
end

-- Takes a message out of the topic; its text is discarded by the caller, who is told.
local function drop(seq, entry)
  local _, size, _, id = parse(entry)
  redis.call('HDEL', key, fmt(seq))
  known[seq] = false
  count, bytes = count - 1, bytes - size
  if seq == first then first = seq + 1 end
  dropped[#dropped + 1] = id
  dropped[#dropped + 1] = fmt(seq)
end

local function memberOf(name, row)
  local mode, slot, cursor, ranges = string.match(row, '^(%d) (%d+) (%d+) ?(.*)$')
  local member = { name = name, mode = tonumber(mode), slot = tonumber(slot), cursor = tonumber(cursor), ranges = {} }
  for from, to in string.gmatch(ranges, '(%d+)-(%d+)') do
    table.insert(member.ranges, tonumber(from))
    table.insert(member.ranges, tonumber(to))
  end
  return member
end
local function readMember(name)
  local row = redis.call('HGET', key, 'c' .. name)
  return row and memberOf(name, row) or nil
end
local function writeMember(member)
  local parts = {}
  for i = 1, #member.ranges, 2 do parts[#parts + 1] = fmt(member.ranges[i]) .. '-' .. fmt(member.ranges[i + 1]) end
  local row = member.mode .. ' ' .. member.slot .. ' ' .. fmt(member.cursor)
  if #parts > 0 then row = row .. ' ' .. table.concat(parts, ',') end
  redis.call('HSET', key, 'c' .. member.name, row)
  member.dirty = false
end
local function addMember(name, mode)
  local member = { name = name, mode = mode, slot = slots, cursor = 0, ranges = {} }
  redis.call('HSET', key, 's' .. slots, name)
  slots = slots + 1
  if mode > 0 then subscribed = subscribed + 1 end
  return member
end
-- The last slot moves into the one that becomes free.
local function removeMember(member)
  slots = slots - 1
  if member.mode > 0 then subscribed = subscribed - 1 end
  redis.call('HDEL', key, 'c' .. member.name)
  if member.slot ~= slots then
    local other = readMember(redis.call('HGET', key, 's' .. slots))
    other.slot = member.slot
    redis.call('HSET', key, 's' .. other.slot, other.name)
    writeMember(other)
  end
  redis.call('HDEL', key, 's' .. slots)
end
local function allMembers()
  local all = {}
  for start = 0, slots - 1, 1000 do
    local fields = {}
    for slot = start, math.min(start + 1000, slots) - 1 do fields[#fields + 1] = 's' .. slot end
    local names = redis.call('HMGET', key, unpack(fields))
    for i, name in ipairs(names) do fields[i] = 'c' .. name end
    local rows = redis.call('HMGET', key, unpack(fields))
    for i, name in ipairs(names) do all[#all + 1] = memberOf(name, rows[i]) end
  end
  return all
end

local function inRanges(ranges, seq)
  for i = 1, #ranges, 2 do
    if ranges[i] > seq then return false end
    if ranges[i + 1] >= seq then return true end
  end
  return false
end
local function addToRanges(ranges, seq)
  local next, from, to, placed = {}, seq, seq, false
  for i = 1, #ranges, 2 do
    local a, b = ranges[i], ranges[i + 1]
    if b == from - 1 then from = a
    elseif a == to + 1 then to = b
    else
      if a > to and not placed then
        next[#next + 1] = from
        next[#next + 1] = to
        placed = true
      end
      next[#next + 1] = a
      next[#next + 1] = b
    end
  end
  if not placed then
    next[#next + 1] = from
    next[#next + 1] = to
  end
  return next
end

-- Moves the cursor over what is no longer due up to upto: done with, own, gone, and expired where now says.
local function advance(member, upto, now)
  if member.cursor >= upto then return end
  local ranges, at, reached = member.ranges, 1, upto
  for seq, entry in messages(member.cursor + 1, upto) do
    while ranges[at] and ranges[at + 1] < seq do at = at + 2 end
    if not (ranges[at] and ranges[at] <= seq) then
      local expiresAt, _, publisher = parse(entry)
      member.hash = member.hash or hashOf(member.name)
      if publisher ~= member.hash and not (now and expiresAt <= now) then
        reached = seq - 1
        break
      end
    end
  end
  if reached <= member.cursor then return end
  member.cursor, member.dirty = reached, true
  local rest = {}
  for i = 1, #ranges, 2 do
    if ranges[i + 1] > reached then
      rest[#rest + 1] = math.max(ranges[i], reached + 1)
      rest[#rest + 1] = ranges[i + 1]
    end
  end
  member.ranges = rest
end

-- Writes the head back. Without a message nothing is remembered of those who left; without a subscriber the whole topic
-- goes when its last message does.
local function finish()
  if count == 0 then
    soonest = huge
    if slots > subscribed then
      for _, member in ipairs(allMembers()) do
        -- Read again: a removal before this one may have moved it.
        if member.mode == 0 then removeMember(readMember(member.name)) end
      end
    end
    if slots == 0 then
      redis.call('DEL', key)
      return
    end
  end
  local fields = { 'n', slots .. ' ' .. subscribed }
  if last > 0 then
    fields[3] = 'h'
    fields[4] = fmt(last) .. ' ' .. fmt(first) .. ' ' .. count .. ' ' .. bytes
  end
  if count > 0 then
    fields[5] = 'x'
    fields[6] = string.format('%.17g', soonest) .. ' ' .. fmt(gone)
  elseif head[2] then
    redis.call('HDEL', key, 'x')
  end
  redis.call('HSET', key, unpack(fields))
  if subscribed == 0 then redis.call('PEXPIREAT', key, fmt(gone)) end
end
`
