/** The operator's way in, put together: what it counts, exports and encrypts again. */
import type { Hono } from 'hono'
import type { ServerKeys } from '../../notify/server.ts'
import type { Watermark } from '../../platform/budgets/watermark.ts'
import { systemClock } from '../../platform/runtime/clock.ts'
import { topicOf } from '../../protocol/topic.ts'
import { JOB_TABLES } from '../../storage/job-queue.ts'
import { createAccounts } from '../admin/accounts.ts'
import { createSamples } from '../admin/live/samples.ts'
import { createReencryption, type Reencryption } from '../admin/reencrypt.ts'
import { type AdminDeps, adminRoutes } from '../admin/routes.ts'
import { createUsage } from '../admin/usage-walk.ts'
import { isSecretOf, retirePreviousSecret } from '../config/secret-files.ts'
import type { RoomContext } from '../context.ts'
import { contextAddress } from '../payer.ts'
import { readVersion } from '../version.ts'
import type { ConsoleRoom } from './console.ts'
import type { KeysRoom } from './keys.ts'
import type { NotifyRoom } from './notify.ts'
import type { PushRoom } from './push.ts'
import type { RelayRoom } from './relay.ts'

const buildReencryption = (
  { config, stores, clock, log, owned }: RoomContext,
  { vault }: NotifyRoom,
  secret: Uint8Array,
): Reencryption => {
  const secretFiles = {
    isPresent: () => config.secret !== undefined || isSecretOf(config.data, secret),
    putAway: () =>
      void (config.secret === undefined && retirePreviousSecret(config.data, secret, clock.now())),
  }
  return owned.use(createReencryption({ stores, vault, clock, log }, secretFiles))
}

const buildLive = (
  context: RoomContext,
  { notify, relay }: { notify: NotifyRoom | undefined; relay: RelayRoom | undefined },
  watermark: Watermark,
): AdminDeps['live'] => {
  const { stores, config, urls, clock, log, metrics, owned, budgets, blocks, payerOf } = context
  const { isAddressBlocked, isClientBlocked } = blocks
  // Points are of the machine's time.
  const samples = owned.use(createSamples({ valueOf: metrics.valueOf, clock: systemClock, log }))
  return {
    process: {
      ...{ url: urls.publicUrl, version: readVersion(), rooms: config.rooms, startedAt: clock.now() },
      isHealthy: () => notify?.server()?.healthy() ?? true,
    },
    store: {
      health: stores.health,
      measure: () => stores.space.measure(),
      ...{ pressure: watermark.level, trouble: watermark.trouble },
    },
    outbox: notify && { size: stores.notify.outboxSize, entries: stores.notify.outboxEntries },
    jobs: {
      waiting: () => stores.kv.size(JOB_TABLES.waiting.table),
      dead: () => stores.kv.size(JOB_TABLES.dead.table),
    },
    ...{ samples, clock, budgets, payerOf, isAddressBlocked, isClientBlocked },
    relay: relay?.hub,
    blocks: stores.console,
    loadBlocks: blocks.load,
    addressOf: contextAddress(context.addressOf),
  }
}

/** What a process does not have is answered with `unavailable`. */
export const buildAdmin = (
  context: RoomContext,
  rooms: {
    keys: KeysRoom | undefined
    notify: NotifyRoom | undefined
    serverKeys: ServerKeys | undefined
    push: PushRoom | undefined
    relay: RelayRoom | undefined
  },
  {
    access,
    audit,
    watermark,
    secret,
  }: Pick<ConsoleRoom, 'access' | 'audit'> & { watermark: Watermark; secret: Uint8Array },
): Hono => {
  const { stores, clock, log, owned } = context
  const { keys, notify, serverKeys, push, relay } = rooms
  return adminRoutes({
    access,
    audit,
    live: buildLive(context, { notify, relay }, watermark),
    projects: notify?.projects,
    apps: notify?.apps,
    publishing: notify?.publishing,
    sent: notify?.sent,
    webhooks: notify?.webhooks,
    subscribers: notify && {
      subscriberCount: (domain) => stores.notify.subscriberCount(domain),
      removeApp: notify.removeApp,
    },
    registry: keys?.registry,
    transfer: stores.transfer,
    accounts: notify && createAccounts({ ...stores, notify: notify.accountData, clock }),
    usage: {
      // A walk paces itself by the machine's time, not by that of the rooms.
      usage: owned.use(createUsage({ transfer: stores.transfer, clock: systemClock, log })),
      relayAdmin: stores.relayAdmin,
      serverTopic: () => serverKeys && topicOf(serverKeys.subscribe.publicKey),
      now: clock.now,
    },
    rotation: () => notify?.server()?.rotation,
    push,
    reencryption: notify && buildReencryption(context, notify, secret),
  })
}
