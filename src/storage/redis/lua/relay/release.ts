import { defineScript } from '../../script.ts'

/**
 * Gives a claim back, if it is still this holder's.
 *
 * KEYS[1] the claim
 * ARGV[1] holder
 */
export const relayRelease = defineScript(
  'RelayRelease',
  `
local lease = redis.call('GET', KEYS[1])
if lease and string.match(lease, '^%S+ (.*)$') == ARGV[1] then redis.call('DEL', KEYS[1]) end
`,
)
