import { defineScript } from '../../script.ts'
import { TOPIC } from './topic.ts'

/**
 * Gives a holder the right to deliver a message, unless another one has it or the client has acknowledged it.
 *
 * KEYS[1] hash of the topic; KEYS[2] the claim: \`until holder\`
 * ARGV[1] client id, [2] seq, [3] holder, [4] now, [5] until, [6] ms to keep it
 * Answers 1 or 0.
 */
export const relayClaim = defineScript(
  'RelayClaim',
  TOPIC,
  `
local member = readMember(ARGV[1])
local seq = tonumber(ARGV[2])
if member and (seq <= member.cursor or inRanges(member.ranges, seq)) then return 0 end
local lease = redis.call('GET', KEYS[2])
if lease then
  local till, holder = string.match(lease, '^(%S+) (.*)$')
  if holder ~= ARGV[3] and tonumber(till) > tonumber(ARGV[4]) then return 0 end
end
redis.call('SET', KEYS[2], ARGV[5] .. ' ' .. ARGV[3], 'PX', ARGV[6])
return 1
`,
)
