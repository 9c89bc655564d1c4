import { defineScript } from '../../script.ts'

/**
 * Removes an invite entry if it is still the same.
 *
 * KEYS[1] the entry
 * ARGV[1] its text
 * Returns 1 when it was removed.
 */
export const keysUninvite = defineScript(
  'KeysUninvite',
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])
`,
)
