import { defineScript } from '../../script.ts'

/**
 * Keeps an approval.
 *
 * KEYS[1] the approval
 * ARGV[1] for how long, ms; then its fields and their values
 */
export const operatorCreate = defineScript(
  'OperatorCreate',
  `
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
`,
)
