import { defineScript, WHEN_FULL } from '../../../script.ts'

/**
 * Gives entries of a partition's outbox back. One that another worker has by now is left to it.
 *
 * KEYS  1 held
 * ARGV  1 from when on they are free · two of each entry: id, until when its lease was; empty when that is not known
 * Returns how many came back.
 */
export const returnScript = defineScript(
  'NotifyReturn',
  WHEN_FULL,
  `
local count = 0
for at = 2, #ARGV, 2 do
  local held = redis.call('ZSCORE', KEYS[1], ARGV[at])
  if held and (ARGV[at + 1] == '' or tonumber(held) == tonumber(ARGV[at + 1])) then
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[at])
    count = count + 1
  end
end
return count`,
)
