import { defineScript, WHEN_FULL } from '../../script.ts'
import { TOPIC } from './topic.ts'

/**
 * Acknowledges messages of the topic for clients, subscribed or not.
 *
 * KEYS[1] hash of the topic; KEYS[1 + i] texts of the messages
 * ARGV[1] most members; then of each client: its id, how many messages, and of each of them i, or `=` and its seq
 */
export const relayAcknowledge = defineScript(
  'RelayAcknowledge',
  WHEN_FULL,
  TOPIC,
  `
if count == 0 then return end
local seqs = {}
for i = 2, #KEYS do
  local seq = tonumber(string.match(redis.call('GETRANGE', KEYS[i], 0, 16), '^%d+') or '')
  seqs[i - 1] = seq and seq <= last and seq
end
local isAnyNew = false
local most = tonumber(ARGV[1])
local arg = 2
while arg < #ARGV do
  local name, first = ARGV[arg], arg + 2
  arg = first + tonumber(ARGV[arg + 1])
  local member = readMember(name)
  local isNew = not member
  local own = {}
  for at = first, arg - 1 do
    local told = string.match(ARGV[at], '^=(%d+)$')
    local seq = told and tonumber(told) or seqs[tonumber(ARGV[at])]
    if seq and not isForeign(name) and (not isNew or slots < most) and (isNew or (seq > member.cursor and not inRanges(member.ranges, seq))) then own[#own + 1] = seq end
  end
  if #own > 0 then
    if isNew then member = addMember(name, 0) end
    for _, seq in ipairs(own) do
      if not inRanges(member.ranges, seq) then member.ranges = addToRanges(member.ranges, seq) end
    end
    advance(member, last)
    writeMember(member)
    isAnyNew = isAnyNew or isNew
  end
end
if isAnyNew then finish() end
`,
)
