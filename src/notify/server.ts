/**
 * The notify server: wallets subscribe to apps through it, and it delivers what the apps publish. (The dapps' side, over
 * HTTP, is `publish` and `http`.)
 *
 *     relay ──▶ requests ──▶ subscriptions ──▶ account record + outbox (one commit)
 *     relay ◀── outbox/worker ◀── outbox/signed-messages ◀── outbox
 *     relay ◀── outbox/worker ◀── outbox/direct-sends ◀── publish/fan-out, for what it has just committed
 *     subscriptions ──▶ outbox ──▶ outbox/worker ──▶ webhooks (jobs of their own, see there)
 *     relay ──▶ http/relay-webhook ──▶ relay/events ──▶ requests, where messages come by webhook
 *     publish/schedule, publish/broadcasts, publish/digests ──▶ outbox, when it is time
 *     beside them: the sweeper, and subscriptions/relay-topics (which topics the server is on)
 *
 * Guarantees: a request is acknowledged to the relay only when its effect and its answer are durable. It takes effect once.
 * Every message that follows from it is sent at least once, over restarts. Any number of processes may run on one store,
 * with one client id on the relay (shared subscriptions).
 *
 * Wire tables: requests in `requests/handler`, what is sent in `outbox/signed-messages`, rules in `subscriptions/rules` and
 * `requests/authority`.
 */
import type { JobQueue } from '../platform/jobs/job-queue.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { toHex } from '../protocol/bytes.ts'
import type { ContractWalletCheck } from '../protocol/signatures.ts'
import { topicOf } from '../protocol/topic.ts'
import type { Apps } from './apps/apps.ts'
import { allKeys } from './apps/key-ring.ts'
import { type Limits, UNLIMITED } from './apps/limits.ts'
import { createAppRemoval } from './apps/removal.ts'
import { createRotation, type Rotation } from './apps/rotation.ts'
import { keepFresh, type ServerKeys } from './apps/server-keys.ts'
import type { Vault } from './apps/vault.ts'
import type { LeaderTask } from './leader-task.ts'
import { createDeliveryReceipts } from './outbox/delivery-receipts.ts'
import type { DirectQueue } from './outbox/direct-sends.ts'
import { createSentMessages } from './outbox/sent-messages.ts'
import { createOutboxWorker } from './outbox/worker.ts'
import { createBroadcaster } from './publish/broadcasts.ts'
import { createDigester, createDigests } from './publish/digests.ts'
import { createSchedule, createScheduler } from './publish/schedule.ts'
import { createRelayEvents, type RelayEvents } from './relay/events.ts'
import type { ConnectRelay } from './relay/link.ts'
import { createRequestHandler } from './requests/handler.ts'
import type { IdentityLookup } from './requests/identity.ts'
import type { NotifyStore } from './store/store.ts'
import { type AccountData, createAccountData } from './subscriptions/export.ts'
import { createRelayTopics } from './subscriptions/relay-topics.ts'
import { createNotifyService } from './subscriptions/service.ts'
import { createSweeper } from './sweeper.ts'
import type { Webhooks } from './webhooks/service.ts'

export { loadServerKeys, type ServerKeys } from './apps/server-keys.ts'

/** The official server's URI, which the published clients' recaps name. */
const OFFICIAL_URL = 'https://notify.walletconnect.com'

export interface NotifyServerDeps {
  store: NotifyStore
  jobQueue: JobQueue
  vault: Vault
  apps: Pick<Apps, 'byDomain' | 'byTopic' | 'projects'>
  limits?: Limits
  serverKeys: ServerKeys
  lookup: IdentityLookup
  webhooks: Pick<Webhooks, 'wants' | 'expand'>
  /** Shared with the dapps' side: what it commits is sent from here at once. */
  direct: DirectQueue
  clock: Clock
  log: Log
  meter: Meter
  randomBytes: (length: number) => Uint8Array
  /** Connects as `serverKeys.relay`. The server closes what it gets. */
  connectRelay: ConnectRelay
  /** Runs a task, by its name, on one of the processes that share the store. */
  leaderTask: (name: 'notify sweep' | 'notify renewal') => LeaderTask
  /** did:key of the relay, which signs its webhook events. */
  relayKey: () => Promise<string>
}

export interface NotifyServerOptions {
  publicUrl: string
  /** The relay forgets subscriptions: all topics are joined again from time to time. */
  renew: boolean
  /** More URIs by which recaps may name this server. */
  otherUrls?: readonly string[]
  /** Verifies signatures of contract wallets; without it they are refused. */
  verifySignature?: ContractWalletCheck
  /** URLs to which the relay may post events. */
  webhooks?: readonly string[]
}

export interface NotifyServer extends AsyncDisposable {
  readonly serverKeys: ServerKeys
  /** Usable once the server is ready. */
  readonly rotation: Rotation
  /** Resolves when the server takes requests; rejects when it is closed before. */
  ready(): Promise<void>
  /** It has become ready and is connected to the relay. */
  healthy(): boolean
  readonly accountData: AccountData
  /** Removes an app, with its subscriptions. */
  removeApp: ReturnType<typeof createAppRemoval>
  /** Subscribes to a topic; resolves when the relay has it. */
  join(topic: string): Promise<void>
  readonly relayEvents: RelayEvents
}

export const createNotifyServer = (deps: NotifyServerDeps, options: NotifyServerOptions): NotifyServer => {
  const { store, vault, apps, serverKeys, lookup, webhooks, direct, jobQueue, leaderTask } = deps
  const { clock, log, meter, randomBytes, limits = UNLIMITED } = deps
  const { publicUrl, renew, otherUrls = [], verifySignature, webhooks: ownWebhooks = [] } = options

  const digests = createDigests({ jobQueue, store, clock })
  const service = createNotifyService({ store, vault, webhooks, digests, clock, randomBytes })
  const relay = deps.connectRelay((message) => onMessage(message))
  const onMessage = createRequestHandler(
    { store, vault, apps, service, lookup, serverKeys, relay, clock, log, meter, limits },
    { notifyUrls: [publicUrl, OFFICIAL_URL, ...otherUrls], publicUrl, verifySignature },
  )
  const { relayKey } = deps
  const sent = createSentMessages()
  const onDelivered = createDeliveryReceipts({ store, vault, webhooks, sent })
  const relayEvents = createRelayEvents(
    { relayKey, onMessage: relay.arrived, onDelivered, clock, log, meter },
    { clientId: serverKeys.relay.did, service: publicUrl, webhooks: ownWebhooks },
  )
  const relayTopics = createRelayTopics(
    { store, relay, leaderTask: leaderTask('notify renewal'), clock, log },
    { serverTopics: () => allKeys(serverKeys).map(({ subscribe }) => topicOf(subscribe.publicKey)), renew },
  )
  const delivery = createOutboxWorker({
    ...{ store, webhooks, relay, direct, sent, clock, log, meter },
    writer: { vault, apps, serverKeys, publicUrl },
    worker: toHex(randomBytes(8)),
  })
  const jobs = { jobQueue, store, direct, apps, limits, clock, log, meter }
  const scheduler = createScheduler(jobs)
  const broadcaster = createBroadcaster(jobs)
  const digester = createDigester(jobs)
  const rotation = createRotation({
    ...{ store, vault, serverKeys, clock },
    join: relayTopics.join,
    leave: (topic) => relay.unsubscribe([topic]),
  })
  const sweeper = createSweeper({
    ...{ store, service, rotation, clock, log, meter },
    leaderTask: leaderTask('notify sweep'),
  })
  const freshness = keepFresh({ serverKeys, clock, log })

  return {
    serverKeys,
    ready: relayTopics.ready,
    healthy: () => relayTopics.isReady && relay.connected,
    join: relayTopics.join,
    relayEvents,
    removeApp: createAppRemoval({ store, endings: service, leave: (topics) => relay.unsubscribe(topics) }),
    accountData: createAccountData({
      ...{ store, service, digests, clock },
      schedule: createSchedule({ jobQueue }),
    }),
    rotation,
    async [Symbol.asyncDispose]() {
      freshness[Symbol.dispose]()
      await Promise.all([scheduler, broadcaster, digester].map((one) => one[Symbol.asyncDispose]()))
      await Promise.all([sweeper[Symbol.asyncDispose](), delivery[Symbol.asyncDispose]()])
      // Waits for requests that are being carried out; their answers are in the outbox then, for the next start.
      // Closing it also ends what membership may be waiting for.
      await Promise.all([relay[Symbol.asyncDispose](), relayTopics[Symbol.asyncDispose]()])
    },
  }
}
