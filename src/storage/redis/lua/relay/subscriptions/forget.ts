import { defineScript, WHEN_FULL } from '../../../script.ts'

/**
 * Forgets when a client was seen, unless it came back meanwhile.
 *
 * KEYS[1] clients by the day on which they were last seen
 * ARGV[1] client id, [2] first day that is not too long ago
 */
export const relayForget = defineScript(
  'RelayForget',
  WHEN_FULL,
  `
local day = redis.call('ZSCORE', KEYS[1], ARGV[1])
if day and tonumber(day) < tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
`,
)
