import { defineScript } from '../../script.ts'

/**
 * Makes a session without peers.
 *
 * KEYS[1] the session
 * ARGV[1] when it was created, [2] when it expires, [3] ms to keep the key
 */
export const sessionsCreate = defineScript(
  'SessionsCreate',
  `
redis.call('HSET', KEYS[1], 'createdAt', ARGV[1], 'expiresAt', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
`,
)
