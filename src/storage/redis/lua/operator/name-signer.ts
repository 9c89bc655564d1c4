import { defineScript } from '../../script.ts'

/**
 * Names the signer of an approval that has none.
 *
 * KEYS[1] the approval
 * ARGV[1] the signer; ARGV[2] the microblock with its keys
 */
export const operatorNameSigner = defineScript(
  'OperatorNameSigner',
  `
local is = redis.call('HMGET', KEYS[1], 'id', 'signer', 'outcome')
if is[1] and not is[2] and not is[3] then
  redis.call('HSET', KEYS[1], 'signer', ARGV[1], 'microblock', ARGV[2])
end
`,
)
