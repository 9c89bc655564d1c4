/**
 * The stores on one Redis or Redis Cluster (7 or newer), shared by any number of processes.
 *
 * Opening does not wait for Redis: calls wait for it, then fail with `unavailable`, and `ping` says how it stands. Every
 * promise of a store resolves when Redis has answered; what survives a crash of Redis is the choice of its operator
 * (`appendonly yes`, `appendfsync`; see docs/operate.md). `maxmemory-policy` must be `noeviction`: the stores bound what they
 * keep by TTL, and a key that Redis evicts is a message lost. After `[Symbol.asyncDispose]` calls are refused with
 * `unavailable`.
 */
import { randomBytes } from 'node:crypto'
import { systemClock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { MailboxLimits } from '../../relay/store.ts'
import { createWatchStore } from '../../relay/store-watches.ts'
import { createGate, guardKv, guardTransfer } from '../gate.ts'
import { createNotifyRows, createRoomStores } from '../room-stores.ts'
import { checkStoreFormat, STORE_FORMAT } from '../store-format.ts'
import type { Stores } from '../stores.ts'
import { createRedisBuckets } from './buckets.ts'
import { createChannels } from './channels.ts'
import { connectRedis } from './connection.ts'
import { createRedisHealth } from './health.ts'
import { createRedisKv } from './kv/engine.ts'
import { createRedisNotifyStore } from './notify/store.ts'
import { createRedisRelayAdmin } from './relay/admin.ts'
import { createRedisRelay } from './relay/store.ts'
import { createSessionsAdapter } from './rooms/sessions-adapter.ts'
import { createRedisSpace } from './space.ts'
import { createRedisTransfer } from './transfer/transfer.ts'

export interface OpenRedisOptions {
  /** `redis://`, `rediss://`, `redis+cluster://host:port,host:port`, `rediss+cluster://…`; see `url.ts`. */
  url: string
  mailbox?: MailboxLimits
  /** Unique among the processes; random by default. */
  instance?: string
  /** What all keys start with. Default `belfry:`. */
  prefix?: string
  /** How long a call waits for a Redis that is away. Default 10,000. */
  timeoutMs?: number
  log?: Log
}

export const openRedis = async (options: OpenRedisOptions): Promise<Stores> => {
  const { mailbox, instance = randomBytes(8).toString('hex'), ...connection } = options
  const redis = connectRedis(connection)
  const channels = createChannels(redis)
  const gate = createGate()
  const kv = guardKv(gate, createRedisKv({ redis, channels, instance }))
  const rooms = {
    ...createRoomStores(kv, systemClock),
    relay: gate.guard({
      ...createRedisRelay({ redis, channels, instance }, mailbox),
      ...createWatchStore(kv, systemClock),
    }),
    notify: { ...createNotifyRows(kv), ...gate.guard(createRedisNotifyStore({ redis, channels })) },
  }
  let closing: Promise<void> | undefined
  return {
    ...rooms,
    kv,
    transfer: guardTransfer(gate, createRedisTransfer({ redis, kv, clock: systemClock }, rooms)),
    sessionsAdapter: () => createSessionsAdapter(redis, connection.log),
    buckets: createRedisBuckets(redis, systemClock),
    relayAdmin: gate.guard(createRedisRelayAdmin(redis)),
    space: gate.guard(createRedisSpace(redis)),
    ...gate.guard({ health: createRedisHealth(redis) }),
    // It is waited for.
    lost: new Promise(() => {}),
    ping: rooms.relay.ping,
    async claimFormat() {
      const key = `${redis.prefix}format`
      const [, stored] = await redis.batch<unknown>(() => [
        redis.client.set(key, STORE_FORMAT, 'NX'),
        redis.client.get(key),
      ])
      checkStoreFormat(stored)
    },
    [Symbol.asyncDispose]: () => {
      closing ??= gate.close().then(() => redis[Symbol.asyncDispose]())
      return closing
    },
  }
}
