import { defineScript } from '../../../script.ts'

/**
 * How many entries outboxes have.
 *
 * KEYS  entries of each partition
 */
export const sizeScript = defineScript(
  'NotifySize',
  `
local size = 0
for _, key in ipairs(KEYS) do size = size + redis.call('HLEN', key) end
return size`,
)
