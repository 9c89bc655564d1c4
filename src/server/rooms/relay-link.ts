/**
 * How the notify server reaches its relay: within this process, over a socket, or by HTTP both ways; and what it may be told
 * there.
 */

import { RELAY_WEBHOOK } from '../../notify/http/relay-webhook.ts'
import type { ConnectRelay } from '../../notify/relay/link.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { NOTIFY_METHODS, notifyMethodByTag } from '../../protocol/notify-methods.ts'
import { createWebhookClient } from '../../relay/client/http-client.ts'
import { createRelayClient, type RelayMessage } from '../../relay/client/index.ts'
import { createRelayRpc } from '../../relay/client/rpc.ts'
import {
  createWatchKeeper,
  registrarAt,
  type WatchRegistrar,
} from '../../relay/client/webhook-registration.ts'
import type { RelayHub } from '../../relay/hub.ts'
import { createInProcessClient } from '../../relay/in-process.ts'
import type { Config } from '../config/config.ts'
import type { ServerUrls } from '../config/urls.ts'

const NOTIFICATION = NOTIFY_METHODS[4002].requestTag
/** What wallets ask. */
const REQUESTS = Object.values(NOTIFY_METHODS).flatMap(({ direction, requestTag }) =>
  direction === 'toServer' ? [requestTag] : [],
)

/** Strangers meet on the topics of apps and of the server; there is no order to keep among them. */
const laneOf = ({ tag, topic }: RelayMessage) =>
  notifyMethodByTag(tag)?.addressedBy === 'subscription' ? topic : undefined

/** The notify server joins its topics again by itself, a few at a time: the client would keep all of them. */
const HANDLING = { remembers: true, laneOf }

interface LinkDeps {
  config: Config
  urls: ServerUrls
  clock: Clock
  log: Log
  meter: Meter
  randomBytes: (length: number) => Uint8Array
}

/** Connections to the relay of this process, and to another one. */
const createConnections = (
  { clock, log, meter, randomBytes }: LinkDeps,
  {
    key,
    url,
    projectId,
    share,
  }: { key: SigningKey; url: string; projectId: string | undefined; share: boolean },
) => ({
  inProcess:
    (hub: RelayHub): ConnectRelay =>
    (onMessage) =>
      createInProcessClient({ hub, clock, log, meter }, { clientId: key.did, share, onMessage, ...HANDLING }),
  bySocket: ((onMessage) =>
    createRelayClient(
      { clock, log, meter, randomBytes },
      { url, key, share, onMessage, ...HANDLING, ...(projectId !== undefined && { projectId }) },
    )) satisfies ConnectRelay,
})

export type RelayLink = ReturnType<typeof linkToRelay>

export const linkToRelay = (deps: LinkDeps, key: SigningKey) => {
  const { config, urls, clock, log, meter, randomBytes } = deps
  const isOwn = config.rooms.includes('relay')
  // Ours keeps subscriptions and divides messages among processes; another one may do neither.
  const isOurs = isOwn || (config.redisUrl !== undefined && config.relayShared)
  const projectId = isOwn ? config.projectIds?.[0] : config.relayProjectId
  const url = isOwn ? urls.loopbackUrl : (config.relayUrl ?? '')
  const http = { clock, fetch: globalThis.fetch }
  const rpc = createRelayRpc({ ...http, randomBytes }, { url, key, projectId })
  const byWebhook = config.notifyIngress === 'webhook'
  const base = config.relayWebhookUrl ?? (isOwn ? urls.loopbackUrl : urls.publicUrl)
  const [messages, delivered] = [base + RELAY_WEBHOOK.messages, base + RELAY_WEBHOOK.delivered]
  const service = urls.publicUrl

  const { inProcess, bySocket } = createConnections(deps, { key, url, projectId, share: isOurs })
  const byEvents: ConnectRelay = (onMessage) =>
    createWebhookClient(
      { ...http, rpc, log, meter },
      {
        clientId: key.did,
        watch: { service, url: messages, type: 'subscriber', tags: REQUESTS, statuses: ['accepted'] },
        ...{ onMessage, ...HANDLING },
      },
    )

  return {
    byWebhook,
    /** Whether the relay is asked to tell what wallets have received; ours understands that. */
    tellsDelivered: config.delivered && isOurs,
    /** `own`: the relay of this process, where there is one. */
    connect(own: RelayHub | undefined): ConnectRelay {
      if (byWebhook) return byEvents
      return own ? inProcess(own) : bySocket
    },
    relayKey: rpc.relayKey,
    /** Where the relay may tell us something. */
    webhooks: [messages, delivered],
    /** Where only the relay of this process does, which needs no request for it. An address that was set may lead elsewhere. */
    webhooksInside: isOwn && config.relayWebhookUrl === undefined ? [messages, delivered] : [],
    /** The relay forgets; or what came while no event could reach us is found by joining the topics again. */
    renew: byWebhook || !isOurs,
    /**
     * Asks the relay to tell what wallets have received, until disposed of. `inside`: how the relay of this process is asked,
     * without a request: the first one would load what fetching needs, at each start.
     */
    watchDelivered(inside: WatchRegistrar['register'] | undefined): Disposable {
      const watch = { service, url: delivered, type: 'publisher', tags: [NOTIFICATION] } as const
      const relay = inside ? { sign: rpc.sign, register: inside } : registrarAt(rpc)
      const keeper = createWatchKeeper({ relay, clock, log }, { ...watch, statuses: ['delivered'] })
      keeper.begin()
      return keeper
    },
  }
}
