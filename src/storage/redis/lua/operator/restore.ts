import { defineScript } from '../../script.ts'

/**
 * Puts a microblock back at the end of its chain, unless it is not the next one there.
 *
 * KEYS  1 the chain · 2 its log
 * ARGV  1 height · 2 genesisSeed · 3 mbHash · 4 what the log holds of it
 */
export const operatorRestore = defineScript(
  'OperatorRestore',
  `
if tonumber(ARGV[1]) ~= redis.call('LLEN', KEYS[2]) + 1 then return end
redis.call('HSET', KEYS[1], 'genesisSeed', ARGV[2], 'height', ARGV[1], 'head', ARGV[3])
redis.call('RPUSH', KEYS[2], ARGV[4])
`,
)
