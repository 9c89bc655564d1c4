import { defineScript } from '../../../script.ts'
import { LIVE } from '../parts.ts'
import { RECEIPTS } from './receipt-rows.ts'

/**
 * Receipts of accounts of one partition that get nothing, where there is none yet.
 *
 * KEYS  1 queued · 2 others
 * ARGV  1 ttl · 2 when · from 3 three of each: name of the account, its form, the reason
 */
export const refuseScript = defineScript(
  'NotifyRefuse',
  LIVE,
  RECEIPTS,
  `
for at = 3, #ARGV, 3 do
  local account = ARGV[at]
  local known = find(KEYS[1], account)
  for state = 2, 5 do known = known or find(KEYS[2], state .. account) end
  if not known then enter(KEYS[2], '5', account, ARGV[at + 1], ARGV[2], ARGV[at + 2]) end
end
live(KEYS[2], tonumber(ARGV[1]))`,
)
