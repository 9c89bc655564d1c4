import { defineScript } from '../../../script.ts'
import { TOPIC } from '../topic.ts'

/**
 * Makes a client a subscriber of the topic; what it acknowledged before stays.
 *
 * KEYS[1] hash of the topic
 * ARGV[1] client id, [2] mode: 1, or 2 for a client that wants hints (never goes back to 1)
 *      [3] '1': only if it is a subscriber already; [4] most members, or ''; [5] '1': it becomes the owner
 * Answers `{last, ms}` where something may wait for a client with hints: the last seq, and how long the last message is
 * kept; `{'owned'}` or `{'crowded'}` where nothing was done; otherwise `{}`.
 */
export const relaySubscribe = defineScript(
  'RelaySubscribe',
  TOPIC,
  `
local name, mode = ARGV[1], tonumber(ARGV[2])
if ARGV[5] ~= '1' and isForeign(name) then return { 'owned' } end
local member = readMember(name)
if not member and ARGV[4] ~= '' and slots >= tonumber(ARGV[4]) then return { 'crowded' } end
if ARGV[3] == '1' and not (member and member.mode > 0) then return {} end
local before = member and member.mode or 0
if not member then
  member = addMember(name, mode)
  writeMember(member)
elseif before < mode then
  member.mode = mode
  if before == 0 then subscribed = subscribed + 1 end
  writeMember(member)
end
if before == 0 then
  finish()
  redis.call('PERSIST', key)
end
if ARGV[5] == '1' and owner ~= name then redis.call('HSET', key, 'o', name) end
if mode < 2 or count == 0 or member.cursor >= last then return {} end
local time = redis.call('TIME')
return { fmt(last), fmt(math.max(gone - tonumber(time[1]) * 1000, 1)) }
`,
)
