import { defineScript } from '../../script.ts'
import { TOPIC } from './topic.ts'

/**
 * Which messages of the topic wait for clients, in order. Changes nothing.
 *
 * KEYS[1] hash of the topic
 * ARGV of each client: its id, after which seq, most messages, most bytes, now
 * Answers for each `{hasMore, seq, id, seq, id, …}`.
 */
export const relayPending = defineScript(
  'RelayPending',
  TOPIC,
  `
local function pending(name, after, limit, most, now)
  if isForeign(name) then return { 0 } end
  local member = readMember(name) or { cursor = 0, ranges = {} }
  local ranges, at, hash = member.ranges, 1, hashOf(name)
  local found, number, total = { 0 }, 0, 0
  for seq, entry in messages(math.max(after, member.cursor) + 1, last) do
    while ranges[at] and ranges[at + 1] < seq do at = at + 2 end
    if not (ranges[at] and ranges[at] <= seq) then
      local expiresAt, size, publisher, id = parse(entry)
      if expiresAt > now and publisher ~= hash then
        if number >= limit or (number > 0 and total + size > most) then
          found[1] = 1
          break
        end
        number, total = number + 1, total + size
        found[#found + 1] = fmt(seq)
        found[#found + 1] = id
      end
    end
  end
  return found
end

local answers = {}
for i = 1, #ARGV, 5 do
  answers[#answers + 1] =
    pending(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]))
end
return answers
`,
)
