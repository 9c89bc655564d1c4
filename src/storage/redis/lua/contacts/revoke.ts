import { defineScript, WHEN_FULL } from '../../script.ts'
import { TICKET } from './parts.ts'

/**
 * Spends a ticket and removes an installation; also when Redis is full.
 *
 * KEYS  1, 2 see TICKET · 3 installations
 * ARGV  1 to 5 see TICKET · 6 the installation's field
 * Returns `done` or `used`.
 */
export const contactsRevoke = defineScript(
  'ContactsRevoke',
  WHEN_FULL,
  TICKET,
  `
local spent, again = isSpent()
if again then return 'done' end
if spent then return 'used' end
spend()
redis.call('HDEL', KEYS[3], ARGV[6])
return 'done'`,
)
