import { defineScript } from '../../script.ts'
import { TOPIC } from './topic.ts'

/** What of the topic waits for a client: \`isDue(seq, entry)\`, of a rising \`seq\`. */
const DUE = `
local member = readMember(ARGV[1]) or { cursor = 0, ranges = {} }
local now, hash = tonumber(ARGV[2]), hashOf(ARGV[1])
local ranges, at = member.ranges, 1
local function isDue(seq, entry)
  while ranges[at] and ranges[at + 1] < seq do at = at + 2 end
  if seq <= member.cursor or (ranges[at] and ranges[at] <= seq) then return false end
  local expiresAt, _, publisher = parse(entry)
  return expiresAt > now and publisher ~= hash
end
`

/**
 * Which messages of the topic wait for a client, in order, and who pays for them. Changes nothing.
 *
 * KEYS[1] hash of the topic
 * ARGV[1] client id, [2] now, [3] after which seq, [4] most messages
 * Answers `{hasMore, seq, payer, publisher, size, seq, …}`.
 */
export const relayHeads = defineScript(
  'RelayHeads',
  TOPIC,
  DUE,
  `
if isForeign(ARGV[1]) then return { 0 } end
local limit, number, found = tonumber(ARGV[4]), 0, { 0 }
for seq, entry in messages(math.max(tonumber(ARGV[3]), member.cursor) + 1, last) do
  if isDue(seq, entry) then
    if number == limit then
      found[1] = 1
      break
    end
    number = number + 1
    local _, size, publisher, _, payer = parse(entry)
    local to = #found
    found[to + 1], found[to + 2], found[to + 3], found[to + 4] = fmt(seq), payer, publisher, size
  end
end
return found
`,
)

/**
 * Which of these messages wait for a client. Changes nothing.
 *
 * KEYS[1] hash of the topic
 * ARGV[1] client id, [2] now; then seqs, rising
 * Answers `{seq, id, seq, id, …}`.
 */
export const relayPick = defineScript(
  'RelayPick',
  TOPIC,
  DUE,
  `
if isForeign(ARGV[1]) then return {} end
local found = {}
for i = 3, #ARGV do
  local entry = redis.call('HGET', key, ARGV[i])
  if entry and isDue(tonumber(ARGV[i]), entry) then
    local _, _, _, id = parse(entry)
    found[#found + 1] = ARGV[i]
    found[#found + 1] = id
  end
end
return found
`,
)
