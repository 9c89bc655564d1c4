import { defineScript, WHEN_FULL } from '../../../script.ts'
import { TOPIC } from '../topic.ts'

/**
 * Ends what others than the owner have in a topic.
 *
 * KEYS[1] hash of the topic
 * ARGV[1] client id of the owner, [2] how many members at most
 * Answers the client ids that are out; as many as that when there may be more.
 */
export const relayEvict = defineScript(
  'RelayEvict',
  WHEN_FULL,
  TOPIC,
  `
if owner ~= ARGV[1] then return {} end
local out, most = {}, tonumber(ARGV[2])
for _, member in ipairs(slots > 1 and allMembers() or {}) do
  if #out == most then break end
  if member.name ~= owner then
    -- Read again: a removal before this one may have moved it.
    removeMember(readMember(member.name))
    out[#out + 1] = member.name
  end
end
if #out > 0 then finish() end
return out
`,
)
