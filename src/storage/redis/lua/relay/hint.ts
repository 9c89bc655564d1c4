import { defineScript } from '../../script.ts'

/**
 * Hints that something waits in topics.
 *
 * KEYS[1] the client's hints: topics by the last seq that was hinted at
 * ARGV[1] ms to keep them at least; then of each topic its seq and its name
 */
export const relayHint = defineScript(
  'RelayHint',
  `
for i = 2, #ARGV, 2 do redis.call('ZADD', KEYS[1], 'GT', ARGV[i], ARGV[i + 1]) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
`,
)
