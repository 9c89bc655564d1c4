import { defineScript } from '../../script.ts'

/**
 * Gives a side of a session to an endpoint.
 *
 * KEYS[1] the session
 * ARGV[1] side, [2] endpoint, [3] now, [4] ms from its creation that the session lasts now, or 0, [5] ms that a key outlives it
 * Returns 'not_found', 'not_initialized', 'taken', or the session as HGETALL does.
 */
export const sessionsEnter = defineScript(
  'SessionsEnter',
  `
local createdAt, expiresAt, initiator, taken =
  unpack(redis.call('HMGET', KEYS[1], 'createdAt', 'expiresAt', 'initiator', ARGV[1]))
if not expiresAt or tonumber(expiresAt) <= tonumber(ARGV[3]) then return 'not_found' end
if ARGV[1] == 'joiner' and not initiator then return 'not_initialized' end
-- Asked again, because the answer was lost.
if taken and taken ~= ARGV[2] then return 'taken' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[4] ~= '0' then
  local till = tonumber(createdAt) + tonumber(ARGV[4])
  redis.call('HSET', KEYS[1], 'expiresAt', string.format('%.0f', till))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, till - tonumber(ARGV[3])) + tonumber(ARGV[5])))
end
return redis.call('HGETALL', KEYS[1])
`,
)
