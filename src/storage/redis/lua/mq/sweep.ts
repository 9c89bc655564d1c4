import { defineScript, WHEN_FULL } from '../../script.ts'
import { QUEUE } from './queue.ts'

/**
 * Removes expired messages of a queue.
 *
 * KEYS  of the queue, see `mq-queue`
 * ARGV  1 now · 2 most
 * Returns how many.
 */
export const mqSweep = defineScript(
  'MqSweep',
  WHEN_FULL,
  QUEUE,
  `
local expired = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(expired) do drop(id) end
return #expired`,
)
