import { defineScript } from '../../script.ts'

/**
 * A page of the live messages of a topic.
 *
 * KEYS[1] sorted set: id by seq · KEYS[2] hash: id → text
 * ARGV  1 now · 2 `forward` or `backward` · 3 id of the first one, or an empty text · 4 messages at most · 5 bytes at
 * most
 * Returns nothing when the first one is not there; else the id that begins the next page or an empty text, then for
 * each message: seq · text.
 */
export const archivePage = defineScript(
  'ArchivePage',
  `
local now, limit, most = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[5])
local isForward = ARGV[2] == 'forward'
local function lives(text) return text and tonumber(string.match(text, '^%d+')) > now end
local rank = 0
if ARGV[3] ~= '' then
  rank = redis.call(isForward and 'ZRANK' or 'ZREVRANK', KEYS[1], ARGV[3])
  if not rank or not lives(redis.call('HGET', KEYS[2], ARGV[3])) then return {} end
end
local page, count, bytes = { '' }, 0, 0
while true do
  local some = redis.call(isForward and 'ZRANGE' or 'ZREVRANGE', KEYS[1], rank, rank + 99, 'WITHSCORES')
  if #some == 0 then return page end
  for at = 1, #some, 2 do
    local text = redis.call('HGET', KEYS[2], some[at])
    if lives(text) then
      if count == limit or (count > 0 and bytes + #text > most) then
        page[1] = some[at]
        return page
      end
      count, bytes = count + 1, bytes + #text
      page[#page + 1] = some[at + 1]
      page[#page + 1] = text
    end
  end
  rank = rank + 100
end`,
)
