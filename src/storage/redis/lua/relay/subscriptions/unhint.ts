import { defineScript } from '../../../script.ts'

/**
 * Drops hints at topics in which nothing is left, unless there was a new one meanwhile.
 *
 * KEYS[1] the client's hints
 * ARGV of each topic the seq up to which nothing is left, and its name
 */
export const relayUnhint = defineScript(
  'RelayUnhint',
  `
for i = 1, #ARGV, 2 do
  local seq = redis.call('ZSCORE', KEYS[1], ARGV[i + 1])
  if seq and tonumber(seq) <= tonumber(ARGV[i]) then redis.call('ZREM', KEYS[1], ARGV[i + 1]) end
end
`,
)
