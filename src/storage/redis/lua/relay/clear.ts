import { defineScript, WHEN_FULL } from '../../script.ts'
import { TOPIC } from './topic.ts'

/**
 * Takes messages out of a topic, whether or not somebody waits for them.
 *
 * KEYS[1] hash of the topic
 * ARGV[1] the seq behind which it begins, [2] most messages that are looked at, [3] the publisher, '' for all; [4] the payer, absent for all
 * Answers `{next, id, seq, id, seq, …}`: where to go on ('' at the end), and what is out.
 */
export const relayClear = defineScript(
  'RelayClear',
  WHEN_FULL,
  TOPIC,
  `
if count == 0 then return { '' } end
local limit = tonumber(ARGV[2])
local publisher = ARGV[3] ~= '' and hashOf(ARGV[3]) or nil
local payer = ARGV[4] and string.sub(ARGV[4], 1, 8)
local out, seen, next = {}, 0, ''
for seq, entry in messages(tonumber(ARGV[1]) + 1, last) do
  seen = seen + 1
  local _, _, by, _, paidBy = parse(entry)
  if (not publisher or by == publisher) and (not payer or paidBy == payer) then out[#out + 1] = { seq, entry } end
  if seen >= limit then
    next = fmt(seq)
    break
  end
end
for _, one in ipairs(out) do drop(one[1], one[2]) end
if #out > 0 then finish() end
table.insert(dropped, 1, next)
return dropped
`,
)
