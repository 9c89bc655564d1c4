import { defineScript, WHEN_FULL } from '../../script.ts'

/**
 * Removes a session.
 *
 * KEYS[1] the session
 * Returns what it was, as HGETALL does.
 */
export const sessionsEnd = defineScript(
  'SessionsEnd',
  WHEN_FULL,
  `
local session = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
return session
`,
)
