import { defineScript } from '../../script.ts'
import { TOPIC } from './topic.ts'

/**
 * Puts members of another store into one topic, with what each is done with. Their messages must be there before: of
 * those who left nothing is kept in a topic without one.
 *
 * KEYS[1] hash of the topic
 * ARGV of each member: client id, '1' when it is subscribed, cursor, ranges beyond it as \`from-to,from-to\`
 */
export const relayRestoreMembers = defineScript(
  'RelayRestoreMembers',
  TOPIC,
  `
for at = 1, #ARGV, 4 do
  local name, row = ARGV[at], '0 0 ' .. ARGV[at + 2] .. ' ' .. ARGV[at + 3]
  local wanted = memberOf(name, row)
  local member = readMember(name) or addMember(name, 0)
  if ARGV[at + 1] == '1' and member.mode == 0 then
    member.mode = 1
    subscribed = subscribed + 1
  end
  member.cursor, member.ranges = wanted.cursor, wanted.ranges
  -- What is to come must lie beyond everything that anybody is done with.
  last = math.max(last, member.cursor, member.ranges[#member.ranges] or 0)
  writeMember(member)
end
finish()
if subscribed > 0 then redis.call('PERSIST', key) end
`,
)
