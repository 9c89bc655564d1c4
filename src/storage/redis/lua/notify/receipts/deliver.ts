import { defineScript } from '../../../script.ts'
import { ADD, LIVE } from '../parts.ts'
import { RECEIPTS } from './receipt-rows.ts'

/**
 * Notes that wallets have copies, and adds what is to be told of it to the outbox.
 *
 * KEYS  seven of each copy: entries, free, order, account, rows, queued, others
 * ARGV  nine of each copy: what a record says that holds the subscription, id of the copy, its row, name of the account,
 *       when, ttl of the outbox, and of the entry: id (empty for none), its proposed place, its JSON
 * Returns 1 for each that became so now, else 0.
 */
export const deliverScript = defineScript(
  'NotifyDeliver',
  LIVE,
  ADD,
  RECEIPTS,
  `
local answers = {}
local function deliver(key, arg)
  local record = redis.call('GET', KEYS[key + 3])
  if not record or not string.find(record, ARGV[arg], 1, true) then return 0 end
  if redis.call('HGET', KEYS[key + 4], ARGV[arg + 1]) ~= ARGV[arg + 2] then return 0 end
  if not move(KEYS[key + 5], KEYS[key + 6], ARGV[arg + 3], ARGV[arg + 1], '21', '3', ARGV[arg + 4], '') then return 0 end
  if ARGV[arg + 6] ~= '' then
    add(key, arg + 6, arg + 8)
    added(key, tonumber(ARGV[arg + 5]))
  end
  return 1
end
for at = 0, #KEYS / 7 - 1 do answers[at + 1] = deliver(1 + 7 * at, 1 + 9 * at) end
return answers`,
)
