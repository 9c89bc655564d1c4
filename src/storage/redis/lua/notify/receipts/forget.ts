import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'
import { RECEIPTS } from './receipt-rows.ts'

/**
 * Removes the receipts of an account.
 *
 * KEYS  two of each notification: queued, others
 * ARGV  1 name of the account
 */
export const forgetReceiptsScript = defineScript(
  'NotifyForgetReceipts',
  LIVE,
  RECEIPTS,
  `
for key = 1, #KEYS, 2 do
  local queued = find(KEYS[key], ARGV[1])
  if queued then redis.call('ZREM', KEYS[key], queued) end
  for state = 2, 5 do
    local row = find(KEYS[key + 1], state .. ARGV[1])
    if row then redis.call('ZREM', KEYS[key + 1], row) end
  end
end`,
)
