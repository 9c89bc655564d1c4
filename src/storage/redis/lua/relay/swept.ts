import { defineScript, WHEN_FULL } from '../../script.ts'

/**
 * Notes when topics are due next; a topic whose time is later than now was noted anew by a publish meanwhile.
 *
 * KEYS[1] the topics by when they are due
 * ARGV[1] now; then of each topic its name and when it is due ('' for never)
 */
export const relaySwept = defineScript(
  'RelaySwept',
  WHEN_FULL,
  `
for i = 2, #ARGV, 2 do
  local topic, due = ARGV[i], ARGV[i + 1]
  local noted = tonumber(redis.call('ZSCORE', KEYS[1], topic) or '-inf')
  if noted <= tonumber(ARGV[1]) then
    if due == '' then redis.call('ZREM', KEYS[1], topic) else redis.call('ZADD', KEYS[1], due, topic) end
  end
end
`,
)
