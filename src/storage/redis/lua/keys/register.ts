import { defineScript } from '../../script.ts'

/**
 * Registers an identity key for an account; the account becomes the key's default where it has none, or on demand.
 *
 * KEYS[1] the key's entries
 * ARGV  1 account key · 2 the entry · 3 1 to make it the default
 */
export const keysRegister = defineScript(
  'KeysRegister',
  `
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'default', ARGV[1])
else redis.call('HSETNX', KEYS[1], 'default', ARGV[1]) end
return 1
`,
)
