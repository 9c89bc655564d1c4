import { defineScript } from '../scripts.ts'
import { TOPIC } from './relay-topic.ts'

/**
 * Acknowledges messages of the topic for a client, subscribed or not.
 *
 * KEYS[1] hash of the topic; KEYS[1 + i] texts of the messages
 * ARGV[1] client id
 */
export const relayAcknowledge = defineScript(
  'RelayAcknowledge',
  TOPIC,
  `
if count == 0 then return end
local member = readMember(ARGV[1])
local isNew = not member
local seqs = {}
for i = 2, #KEYS do
  local seq = tonumber(string.match(redis.call('GETRANGE', KEYS[i], 0, 16), '^%d+') or '')
  if seq and seq <= last and (isNew or (seq > member.cursor and not inRanges(member.ranges, seq))) then
    seqs[#seqs + 1] = seq
  end
end
if #seqs == 0 then return end
if isNew then member = addMember(ARGV[1], 0) end
for _, seq in ipairs(seqs) do
  if not inRanges(member.ranges, seq) then member.ranges = addToRanges(member.ranges, seq) end
end
advance(member, last)
writeMember(member)
if isNew then finish() end
`,
)
