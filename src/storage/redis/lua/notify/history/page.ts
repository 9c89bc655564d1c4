import { defineScript } from '../../../script.ts'

/**
 * A page of a history: newest first, ties by id descending; with unread first, all unread ones before the read ones.
 *
 * KEYS  1 copies · 2 unread · 3 rows
 * ARGV  1 now · 2 limit · 3 the copy behind which it begins, empty for none · 4 '1' for unread first
 * Returns 'unknown' when that copy is not there or has expired; else: 1 when there is more, 1 when there are more
 * unread ones, then four of each copy: id, sentAt, 1 when it is read, when it expires and the reference of its
 * notification.
 */
export const pageScript = defineScript(
  'NotifyPage',
  `
local now, limit, after = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local CHUNK = 100
local page, hasMore = {}, 0

-- The row of a copy that has not expired, and whether the copy was withdrawn.
local function known(id)
  local row = redis.call('HGET', KEYS[3], id)
  if not row or tonumber(string.match(row, '^%S+')) <= now then return false end
  return row, string.sub(row, -2) == ' -'
end
-- The row of a copy that is there.
local function live(id)
  local row, isWithdrawn = known(id)
  return row and not isWithdrawn and row
end
local function isUnread(id) return redis.call('ZSCORE', KEYS[2], id) and true or false end

-- Live copies of a sorted set from a rank on, until the page is full. 'wanted' says which ones, by whether unread.
local function walk(key, rank, wanted)
  while hasMore == 0 do
    local ids = redis.call('ZREVRANGE', key, rank, rank + CHUNK - 1, 'WITHSCORES')
    if #ids == 0 then return end
    for at = 1, #ids, 2 do
      local id = ids[at]
      local unread = isUnread(id)
      local row = wanted(unread) and live(id)
      if row then
        if #page == limit then
          hasMore = 1
          return
        end
        page[#page + 1] = { id, ids[at + 1], unread and 0 or 1, row }
      end
    end
    rank = rank + CHUNK
  end
end
-- How many unread ones stand before this place in the order, or on it.
local function behind(id)
  local sentAt = redis.call('ZSCORE', KEYS[1], id)
  local count = redis.call('ZCOUNT', KEYS[2], '(' .. sentAt, '+inf')
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], sentAt, sentAt)) do
    if other >= id then count = count + 1 end
  end
  return count
end
local function any() return true end
local function onlyRead(unread) return not unread end

local start, afterUnread = 0, false
if after ~= '' then
  local row, isWithdrawn = known(after)
  if not row then return 'unknown' end
  -- What is withdrawn was unread.
  afterUnread = isWithdrawn or isUnread(after)
  start = redis.call('ZREVRANK', KEYS[1], after) + 1
end
if ARGV[4] ~= '1' then
  walk(KEYS[1], start, any)
elseif after == '' or afterUnread then
  walk(KEYS[2], after == '' and 0 or behind(after), any)
  walk(KEYS[1], 0, onlyRead)
else
  walk(KEYS[1], start, onlyRead)
end

-- An unread one stands on a later page when the oldest of them stands behind the last of this page.
local moreUnread = 0
local last = page[#page]
if not last and after ~= '' then
  last = { after, redis.call('ZSCORE', KEYS[1], after), afterUnread and 0 or 1 }
end
if hasMore == 1 and last and not (ARGV[4] == '1' and last[3] == 1) then
  local rank = 0
  while true do
    local oldest = redis.call('ZRANGE', KEYS[2], rank, rank, 'WITHSCORES')
    if #oldest == 0 then break end
    if live(oldest[1]) then
      local a, b = tonumber(oldest[2]), tonumber(last[2])
      if a < b or (a == b and oldest[1] < last[1]) then moreUnread = 1 end
      break
    end
    rank = rank + 1
  end
elseif hasMore == 1 and not last then
  moreUnread = redis.call('ZCARD', KEYS[2]) > 0 and 1 or 0
end

local answer = { hasMore, moreUnread }
for _, one in ipairs(page) do
  for at = 1, 4 do answer[#answer + 1] = one[at] end
end
return answer`,
)
