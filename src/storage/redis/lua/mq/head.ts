import { defineScript } from '../../script.ts'
import { QUEUE } from './queue.ts'

/**
 * The oldest message of a queue.
 *
 * KEYS  of the queue, see `mq-queue`
 * ARGV  1 now
 * Returns its row, or false.
 */
export const mqHead = defineScript(
  'MqHead',
  QUEUE,
  `
local id = oldest(tonumber(ARGV[1]))
return id and redis.call('HGET', KEYS[1], id)`,
)
