import { defineScript, WHEN_FULL } from '../../script.ts'
import { TOPIC } from './topic.ts'

/**
 * Takes expired messages out of a topic.
 *
 * KEYS[1] hash of the topic
 * ARGV[1] now, [2] most messages
 * Answers `{due, id, seq, id, seq, …}`: when something expires next ('' when nothing is left), and what is out.
 */
export const relaySweep = defineScript(
  'RelaySweep',
  WHEN_FULL,
  TOPIC,
  `
if count == 0 then return { '' } end
local now, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local next, out, isComplete = huge, {}, true
for seq, entry in messages(first, last) do
  local expiresAt = parse(entry)
  if expiresAt > now then next = math.min(next, expiresAt)
  elseif #out < limit then out[#out + 1] = { seq, entry }
  else
    isComplete = false
    break
  end
end
for _, one in ipairs(out) do drop(one[1], one[2]) end
if isComplete then soonest = next end
finish()
table.insert(dropped, 1, count > 0 and string.format('%.17g', soonest) or '')
return dropped
`,
)
