import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'
import { RECEIPTS } from '../receipts/receipt-rows.ts'

/**
 * Puts receipts of another store into one partition, where the account has none of that notification yet.
 *
 * KEYS  two of each notification: queued, others
 * ARGV  of each notification: how many, ttl, then three of each receipt: name of the account, '1' when it is queued, the
 *       row as it will stand in its set
 */
export const restoreReceiptsScript = defineScript(
  'NotifyRestoreReceipts',
  LIVE,
  RECEIPTS,
  `
local arg = 1
for key = 1, #KEYS, 2 do
  local count, ttl = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  arg = arg + 2
  for _ = 1, count do
    local account = ARGV[arg]
    local known = find(KEYS[key], account)
    for state = 2, 5 do known = known or find(KEYS[key + 1], state .. account) end
    if not known then redis.call('ZADD', KEYS[ARGV[arg + 1] == '1' and key or key + 1], 0, ARGV[arg + 2]) end
    arg = arg + 3
  end
  live(KEYS[key], ttl)
  live(KEYS[key + 1], ttl)
end
return 1`,
)
