import { defineScript, WHEN_FULL } from '../../script.ts'
import { QUEUE } from './queue.ts'

/**
 * Removes a message and gives it. What was given is kept for a while under the ticket of the call: one that is sent
 * again because its answer got lost must not take another message.
 *
 * KEYS  of the queue, see `mq-queue`; 7 the ticket
 * ARGV  1 now · 2 id, or empty for the oldest · 3 how long the ticket is good, ms
 * Returns the row, or false.
 */
export const mqTake = defineScript(
  'MqTake',
  WHEN_FULL,
  QUEUE,
  `
local given = redis.call('GET', KEYS[7])
if given then return given end
local now, id = tonumber(ARGV[1]), ARGV[2]
if id == '' then id = oldest(now) end
local row = id and redis.call('HGET', KEYS[1], id)
if not row then return false end
if isOver(id, now) then return false end
redis.call('SET', KEYS[7], row, 'PX', ARGV[3])
drop(id)
return row`,
)
