import { defineScript } from '../../script.ts'
import { TOPIC } from './topic.ts'

/**
 * Puts messages of another store into one topic, under the numbers that they have. One that is there is left as it is.
 *
 * KEYS[1] hash of the topic; KEYS[1 + i] text of the i-th message
 * ARGV of each message: seq, id, size, publisher, expiresAt, ms to keep it, payer, text
 */
export const relayRestoreMessages = defineScript(
  'RelayRestoreMessages',
  TOPIC,
  `
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
for i = 1, #KEYS - 1 do
  local at = 1 + (i - 1) * 8
  local text, id, size, publisher = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  if redis.call('HEXISTS', key, text) == 0 then
    local seq, expiresAt, ttl = tonumber(text), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
    redis.call('SET', KEYS[1 + i], text .. ' ' .. ARGV[at + 4] .. ' ' .. ARGV[at + 7], 'PX', fmt(ttl))
    redis.call('HSET', key, text, entryOf(ARGV[at + 4], size, publisher, id, ARGV[at + 6]))
    first = count == 0 and seq or math.min(first, seq)
    last, count, bytes = math.max(last, seq), count + 1, bytes + size
    gone, soonest = math.max(gone, clock + ttl), math.min(soonest, expiresAt)
  end
end
finish()
`,
)
