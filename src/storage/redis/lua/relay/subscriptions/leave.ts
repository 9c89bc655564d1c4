import { defineScript } from '../../../script.ts'

/**
 * Takes topics out of the index of a client; one without topics leaves nothing.
 *
 * KEYS[1] the client's topics; KEYS[2] whether it has hints; KEYS[3] its hints
 * ARGV the topics
 */
export const relayLeave = defineScript(
  'RelayLeave',
  `
for _, topic in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], topic)
  redis.call('ZREM', KEYS[3], topic)
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[2], KEYS[3]) end
`,
)
