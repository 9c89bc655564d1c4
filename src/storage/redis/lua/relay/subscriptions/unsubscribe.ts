import { defineScript, WHEN_FULL } from '../../../script.ts'
import { TOPIC } from '../topic.ts'

/**
 * Ends a subscription. What the client acknowledged is kept as long as there are messages.
 *
 * KEYS[1] hash of the topic
 * ARGV[1] client id
 */
export const relayUnsubscribe = defineScript(
  'RelayUnsubscribe',
  WHEN_FULL,
  TOPIC,
  `
local member = readMember(ARGV[1])
if owner == ARGV[1] then
  redis.call('HDEL', key, 'o')
  owner = false
end
if not member or member.mode == 0 then return end
if count == 0 then
  removeMember(member)
else
  member.mode = 0
  subscribed = subscribed - 1
  writeMember(member)
end
finish()
`,
)
