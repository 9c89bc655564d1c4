import { defineScript } from '../scripts.ts'

/**
 * Removes an identity key, and with it the validity of all invite keys that it registered.
 *
 * KEYS[1] the entry; KEYS[2] accounts whose invite key it registered
 * Answers 1 when there was an entry.
 */
export const keysRevoke = defineScript(
  'KeysRevoke',
  `
redis.call('UNLINK', KEYS[2])
return redis.call('UNLINK', KEYS[1])
`,
)
