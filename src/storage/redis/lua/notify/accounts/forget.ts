import { defineScript } from '../../../script.ts'

/**
 * Removes a key if it still holds the stated value.
 *
 * KEYS  1 the key
 * ARGV  1 the value
 */
export const forgetScript = defineScript(
  'NotifyForget',
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])`,
)
