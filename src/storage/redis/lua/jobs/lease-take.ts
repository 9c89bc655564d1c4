import { defineScript, WHEN_FULL } from '../../script.ts'

/**
 * Takes or prolongs a lease, unless another holder has it; also when Redis is full, since those on duty make room.
 *
 * KEYS[1] the lease: \`until holder\`
 * ARGV[1] holder, [2] now, [3] until, [4] ms to keep it
 * Returns 1 or 0.
 */
export const leaseTake = defineScript(
  'LeaseTake',
  WHEN_FULL,
  `
local lease = redis.call('GET', KEYS[1])
if lease then
  local till, holder = string.match(lease, '^(%S+) (.*)$')
  if holder ~= ARGV[1] and tonumber(till) > tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[3] .. ' ' .. ARGV[1], 'PX', ARGV[4])
return 1
`,
)
