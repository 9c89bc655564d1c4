/** The operator's way in, put together: what it counts, exports and encrypts again. */
import type { Hono } from 'hono'
import type { ServerKeys } from '../../notify/server.ts'
import { systemClock } from '../../platform/runtime/clock.ts'
import { topicOf } from '../../protocol/topic.ts'
import { createAccounts } from '../admin/accounts.ts'
import { createReencryption, type Reencryption } from '../admin/reencrypt.ts'
import { adminRoutes } from '../admin/routes.ts'
import { createUsage } from '../admin/usage-walk.ts'
import { isSecretOf, retirePreviousSecret } from '../config/secret-files.ts'
import type { RoomContext } from '../context.ts'
import type { KeysRoom } from './keys.ts'
import type { NotifyRoom } from './notify.ts'
import type { PushRoom } from './push.ts'

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

/** What a process does not have is answered with `unavailable`. */
export const buildAdmin = (
  context: RoomContext,
  rooms: {
    keys: KeysRoom | undefined
    notify: NotifyRoom | undefined
    serverKeys: ServerKeys | undefined
    push: PushRoom | undefined
  },
  { token, secret }: { token: string; secret: Uint8Array },
): Hono => {
  const { stores, clock, log, owned } = context
  const { keys, notify, serverKeys, push } = rooms
  return adminRoutes({
    token,
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
