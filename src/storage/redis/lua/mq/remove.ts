import { defineScript, WHEN_FULL } from '../../script.ts'
import { QUEUE } from './queue.ts'

/**
 * Removes a message.
 *
 * KEYS  of the queue, see `mq-queue`
 * ARGV  1 id
 * Returns 1 when it was there.
 */
export const mqRemove = defineScript(
  'MqRemove',
  WHEN_FULL,
  QUEUE,
  `
local isThere = redis.call('HEXISTS', KEYS[1], ARGV[1])
drop(ARGV[1])
return isThere`,
)
