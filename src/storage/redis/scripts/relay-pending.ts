import { defineScript } from '../scripts.ts'
import { TOPIC } from './relay-topic.ts'

/**
 * Which messages wait for a client, in order. Changes nothing.
 *
 * KEYS[1] hash of the topic
 * ARGV[1] client id, [2] after which seq, [3] most messages, [4] most bytes, [5] now
 * Answers `{hasMore, seq, id, seq, id, …}`.
 */
export const relayPending = defineScript(
  'RelayPending',
  TOPIC,
  `
local name, after, limit, most, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
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
`,
)
