/**
 * The notify server's store in Redis; `notify-layout` draws the keys.
 *
 * What one commit changes about an address lies in one of 64 partitions and is moved by one script; so it is atomic on
 * a single Redis and in a cluster alike, and any number of processes may work on it. What is looked up by something
 * else than the address is written first, lies anywhere, and is believed only if the record confirms it.
 *
 * Every call bears repetition: one that was answered with `unavailable` may have had its effect.
 */

import type { NotifyStore } from '../../notify/store.ts'
import { type Clock, systemClock } from '../../platform/clock.ts'
import type { Channels } from './channels.ts'
import type { RedisConnection } from './connection.ts'
import { createAsk } from './gather.ts'
import { createRedisAccounts } from './notify-accounts.ts'
import { createRedisApps } from './notify-apps.ts'
import { createRedisClicks } from './notify-clicks.ts'
import { createWhereabouts } from './notify-deps.ts'
import { createRedisHistory } from './notify-history.ts'
import { createLayout } from './notify-layout.ts'
import { createLookups } from './notify-lookups.ts'
import { createRedisOutbox } from './notify-outbox.ts'
import { createRequests } from './notify-requests.ts'
import { createRedisSweep } from './notify-sweep.ts'
import { createRedisWebhooks } from './notify-webhooks.ts'

export const createRedisNotifyStore = ({
  redis,
  channels,
  clock = systemClock,
}: {
  redis: RedisConnection
  channels: Channels
  /** For ttls and the order of the outbox; what expires, and when, is what callers say. */
  clock?: Clock
}): NotifyStore => {
  const ask = createAsk(redis)
  const layout = createLayout(redis.prefix)
  const whereabouts = createWhereabouts({ redis, ask, layout })
  const deps = { redis, channels, clock, ask, layout, whereabouts }
  const lookups = createLookups(deps)
  const requests = createRequests(deps)
  const outbox = createRedisOutbox(deps)
  const { takeOutbox, completeOutbox, returnOutbox, outboxSize, onOutbox } = outbox
  return {
    ...createRedisApps(deps),
    ...createRedisAccounts(deps, lookups, requests, outbox),
    ...createRedisHistory(deps, requests, outbox),
    ...createRedisWebhooks(deps),
    ...createRedisClicks(deps),
    takeOutbox,
    completeOutbox,
    returnOutbox,
    outboxSize,
    onOutbox,
    sweep: createRedisSweep(deps, lookups),
  }
}
