import { defineScript } from '../../script.ts'

/**
 * Removes the entry of an identity key for an account, and with it the validity of the invite key that it registered.
 *
 * KEYS[1] the key's entries; KEYS[2] accounts whose invite key it registered
 * ARGV[1] account key
 * Returns 1 when there was an entry.
 */
export const keysRevoke = defineScript(
  'KeysRevoke',
  `
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HGET', KEYS[1], 'default') == ARGV[1] then redis.call('HDEL', KEYS[1], 'default') end
return redis.call('HDEL', KEYS[1], ARGV[1])
`,
)
