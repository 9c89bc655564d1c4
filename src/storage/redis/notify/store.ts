/**
 * What of the notify server's store is not over the port, in Redis; `notify-layout` draws the keys.
 *
 * What one commit changes about an address lies in one of 64 partitions and is moved by one script; so it is atomic on
 * a single Redis and in a cluster alike, and any number of processes may work on it. What is looked up by something
 * else than the address is written first, lies anywhere, and is believed only if the record confirms it.
 *
 * Every call bears repetition: one that was answered with `unavailable` may have had its effect.
 */

import type { NotifyStore } from '../../../notify/store/store.ts'
import { type Clock, systemClock } from '../../../platform/runtime/clock.ts'
import type { NotifyRows } from '../../room-stores.ts'
import { createAsk } from '../call-batcher.ts'
import type { Channels } from '../channels.ts'
import type { RedisConnection } from '../connection.ts'
import { createRedisAccounts } from './accounts.ts'
import { createPartitionCache } from './deps.ts'
import { createRedisFanOut } from './fan-out.ts'
import { createRedisHistory } from './history.ts'
import { createLookups } from './lookups.ts'
import { createNotifications } from './notifications.ts'
import { createRedisOutbox } from './outbox.ts'
import { createRedisProjects } from './projects.ts'
import { createRedisReceipts } from './receipts.ts'
import { createRequests } from './requests.ts'
import { createRedisRotation } from './rotation.ts'
import { createLayout } from './rows/layout.ts'
import { createRedisSettleNotifications } from './settle-notifications.ts'
import { createRedisSweep } from './sweep.ts'

export const createRedisNotifyStore = ({
  redis,
  channels,
  clock = systemClock,
}: {
  redis: RedisConnection
  channels: Channels
  /** For ttls and the order of the outbox; what expires, and when, is what callers say. */
  clock?: Clock
}): Omit<NotifyStore, keyof NotifyRows> => {
  const ask = createAsk(redis)
  const layout = createLayout(redis.prefix)
  const partitions = createPartitionCache({ redis, ask, layout })
  const deps = { redis, channels, clock, ask, layout, partitions }
  const lookups = createLookups(deps)
  const requests = createRequests(deps)
  const outbox = createRedisOutbox(deps)
  const notifications = createNotifications(deps)
  const { putNotification, notification, notifications: sent } = notifications
  const { takeOutbox, returnOutbox, outboxSize, onOutbox, outboxEntries } = outbox
  return {
    ...createRedisProjects(deps),
    ...createRedisAccounts(deps, lookups, requests, outbox),
    ...createRedisFanOut(deps, notifications, outbox),
    ...createRedisHistory(deps, notifications, requests, outbox),
    ...createRedisReceipts(deps, notifications, outbox),
    ...createRedisSettleNotifications(deps, notifications, outbox),
    putNotification,
    notification,
    notifications: sent,
    takeOutbox,
    returnOutbox,
    outboxSize,
    onOutbox,
    outboxEntries,
    ...createRedisRotation(deps),
    sweep: createRedisSweep(deps, lookups),
  }
}
