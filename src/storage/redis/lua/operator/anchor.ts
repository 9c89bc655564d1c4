import { defineScript } from '../../script.ts'

/**
 * Finishes an approval and appends its microblock to a chain.
 *
 * KEYS  1 the approval · 2 the chain · 3 its log
 * ARGV  1 now · 2 attempt · 3 outcome (JSON) · 4 height · 5 previousHash · 6 genesisSeed · 7 mbHash · 8 what the log holds of it
 * Returns `anchored`, `finished`, `moved` or `unknown`.
 */
export const operatorAnchor = defineScript(
  'OperatorAnchor',
  `
local is = redis.call('HMGET', KEYS[1], 'expiresAt', 'outcome', 'attempt')
if is[2] then return is[3] == ARGV[2] and 'anchored' or 'finished' end
if not is[1] or tonumber(is[1]) <= tonumber(ARGV[1]) then return 'unknown' end
local last = redis.call('HMGET', KEYS[2], 'height', 'head')
if tonumber(ARGV[4]) ~= tonumber(last[1] or '0') + 1 or (last[1] and last[2] ~= ARGV[5]) then return 'moved' end
redis.call('HSET', KEYS[1], 'outcome', ARGV[3], 'attempt', ARGV[2])
redis.call('HSETNX', KEYS[2], 'genesisSeed', ARGV[6])
redis.call('HSET', KEYS[2], 'height', ARGV[4], 'head', ARGV[7])
redis.call('RPUSH', KEYS[3], ARGV[8])
return 'anchored'
`,
)
