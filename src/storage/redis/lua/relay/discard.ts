import { defineScript } from '../../script.ts'

/**
 * Removes the texts of messages that are out of their topic, unless the same message was stored again meanwhile.
 *
 * KEYS texts of messages of one topic
 * ARGV[i] the seq that is out
 */
export const relayDiscard = defineScript(
  'RelayDiscard',
  `
for i, key in ipairs(KEYS) do
  if string.match(redis.call('GETRANGE', key, 0, 16), '^%d+') == ARGV[i] then redis.call('UNLINK', key) end
end
`,
)
