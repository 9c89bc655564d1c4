import { defineScript } from '../../../script.ts'

/**
 * Enters topics into the index of a client, and says how its subscriptions must be made.
 *
 * KEYS[1] the client's topics; KEYS[2] whether it has hints: 'coming' or 'ready'
 * ARGV[1] most topics, or ''; [2] above how many topics a client gets hints; then the topics
 * Answers `{total, hints}`; total -1 when it would be more than the most, and then nothing was entered.
 */
export const relayEnter = defineScript(
  'RelayEnter',
  `
local total = redis.call('ZCARD', KEYS[1])
local new = {}
for i = 3, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then new[#new + 1] = ARGV[i] end
end
local hints = redis.call('GET', KEYS[2]) or ''
if #new == 0 then return { total, hints } end
if ARGV[1] ~= '' and total + #new > tonumber(ARGV[1]) then return { -1, hints } end
for _, topic in ipairs(new) do redis.call('ZADD', KEYS[1], 0, topic) end
total = total + #new
if hints == '' and total > tonumber(ARGV[2]) then
  hints = 'coming'
  redis.call('SET', KEYS[2], hints)
end
return { total, hints }
`,
)
