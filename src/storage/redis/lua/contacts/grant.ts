import { defineScript } from '../../script.ts'
import { TICKET } from './parts.ts'

/**
 * Spends a ticket and adds an installation, or renews it in its place.
 *
 * KEYS  1, 2 see TICKET · 3 installations
 * ARGV  1 to 5 see TICKET · 6 the installation's field · 7 expiresAt · 8 `name value` · 9 now · 10 live ones at most
 *       · 11 how long it must be kept, ms
 * Returns `done`, `used` or `full`.
 */
export const contactsGrant = defineScript(
  'ContactsGrant',
  TICKET,
  `
local spent, again = isSpent()
if again then return 'done' end
if spent then return 'used' end
local rows = redis.call('HGETALL', KEYS[3])
local live, last, place, over = 0, 0, nil, {}
for at = 1, #rows, 2 do
  local seq, expiresAt = string.match(rows[at + 1], '^(%S+) (%S+) ')
  last = math.max(last, tonumber(seq))
  if tonumber(expiresAt) <= tonumber(ARGV[9]) then over[#over + 1] = rows[at]
  else
    live = live + 1
    if rows[at] == ARGV[6] then place = seq end
  end
end
if not place and live >= tonumber(ARGV[10]) then return 'full' end
spend()
for _, field in ipairs(over) do redis.call('HDEL', KEYS[3], field) end
place = place or string.format('%.0f', last + 1)
redis.call('HSET', KEYS[3], ARGV[6], place .. ' ' .. ARGV[7] .. ' ' .. ARGV[8])
if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[11]) then redis.call('PEXPIRE', KEYS[3], ARGV[11]) end
return 'done'`,
)
