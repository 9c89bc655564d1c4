import { defineScript } from '../../../script.ts'
import { ADD, LIVE } from '../parts.ts'
import { RECEIPTS } from './receipt-rows.ts'

/**
 * Says what became of copies of one notification that had one outbox entry together: the receipts of published ones move
 * on, each other that is queued since then gets an entry of its own. The entry itself stays.
 *
 * KEYS  five of each partition: entries, free, order, queued, others
 * ARGV  1 digit of the new state · 2 when · 3 ttl of the outbox · 4 when the receipts began · from 5 of each partition: number of copies, then four of
 *       each: name of its account, id of the copy, proposed place and text of its own entry (empty: it was published)
 */
export const settleSeveralScript = defineScript(
  'NotifySettleSeveral',
  LIVE,
  ADD,
  RECEIPTS,
  `
local arg = 5
for base = 1, #KEYS, 5 do
  local queued, others = KEYS[base + 3], KEYS[base + 4]
  local last = arg + 4 * tonumber(ARGV[arg])
  local ttl = redis.call('PTTL', queued)
  for at = arg + 1, last, 4 do
    local account, id = ARGV[at], ARGV[at + 1]
    if ARGV[at + 3] == '' then
      move(queued, others, account, id, '1', ARGV[1], ARGV[2], '', true)
    else
      local row = find(queued, account)
      local began, copy = string.match(row or '', '%z.-%z(.-)%z(.*)$')
      if copy == id and began == ARGV[4] then add(base, at + 1, at + 3) end
    end
  end
  if ttl > 0 then live(others, ttl) end
  added(base, tonumber(ARGV[3]))
  arg = last + 1
end`,
)
