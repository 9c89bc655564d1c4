/** The notify room, put together: what dapps and operators use of it, and the server that lives on the relay. */
import { Hono } from 'hono'
import { type Apps, createApps } from '../../notify/apps/apps.ts'
import { createLimits } from '../../notify/apps/limits.ts'
import { createVault, type Vault } from '../../notify/apps/vault.ts'
import { relayWebhookRoutes } from '../../notify/http/relay-webhook.ts'
import { notifyRoutes } from '../../notify/http/routes.ts'
import { AppDeclaration } from '../../notify/http/schema.ts'
import { createDirectSends } from '../../notify/outbox/direct-sends.ts'
import { createPushReceipts } from '../../notify/outbox/push-receipts.ts'
import { createNotifications, type Notifications } from '../../notify/publish/notifications.ts'
import { createPublishing, type Publishing } from '../../notify/publish/service.ts'
import { createSealedJobQueue } from '../../notify/sealed/jobs.ts'
import { createSealedStore } from '../../notify/sealed/store.ts'
import { createTextSeal } from '../../notify/sealed/texts.ts'
import {
  createNotifyServer,
  loadServerKeys,
  type NotifyServer,
  type NotifyServerDeps,
  type ServerKeys,
} from '../../notify/server.ts'
import type { AccountData } from '../../notify/subscriptions/export.ts'
import { createWebhookCalls } from '../../notify/webhooks/calls.ts'
import { createWebhooks, type Webhooks } from '../../notify/webhooks/service.ts'
import { invariant } from '../../platform/invariant.ts'
import { createHostGate } from '../../platform/net/host-gate.ts'
import { addressRules } from '../../platform/net/public-address.ts'
import { createUrlCheck } from '../../platform/net/public-check.ts'
import { createPublicFetch } from '../../platform/net/public-fetch.ts'
import { createContentSeal } from '../../platform/runtime/content-seal.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { WatchEvent } from '../../protocol/relay-watch.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import type { InsideService } from '../../relay/webhooks/posts.ts'
import { createProjects, type Projects } from '../admin/default-project.ts'
import type { Config } from '../config/config.ts'
import type { Secrets } from '../config/secret-files.ts'
import { StartError } from '../config/start-error.ts'
import type { RoomContext } from '../context.ts'
import { isUnavailable } from '../start-without-store.ts'
import { takePushReports } from './push-reports.ts'
import type { RelayRoom } from './relay.ts'
import { linkToRelay, type RelayLink } from './relay-link.ts'

export interface NotifyRoom {
  apps: Apps
  publishing: Publishing
  sent: Notifications
  webhooks: Webhooks
  projects: Projects
  vault: Vault
  accountData: AccountData
  removeApp: NotifyServer['removeApp']
  routes: Hono
  /** What a relay in this process may tell. */
  ofRelay: InsideService
  isFirstStart: boolean
  /** Connects the notify server to its relay. */
  start(neighbours: Neighbours): NotifyServer
  /** Undefined until `start`. */
  server(): NotifyServer | undefined
}

/** What other rooms do for the notify server. */
interface Neighbours {
  lookup: NotifyServerDeps['lookup']
  /** Undefined where no chain is configured. */
  verifySignature: ContractWalletCheck | undefined
  /** Undefined where the relay is in another process. */
  relay: Pick<RelayRoom, 'hub' | 'registerWatch'> | undefined
}

type Parts = Pick<
  NotifyServerDeps,
  'store' | 'jobQueue' | 'vault' | 'apps' | 'serverKeys' | 'webhooks' | 'direct' | 'limits'
>

/** Calls of webhooks under way. The worker has fewer: this leaves hosts alone that cannot be reached. */
const WEBHOOK_CALLS = { perHost: 64, perOwner: 64 }

/** The notify server, for the parts that exist before it. */
const createServerSlot = () => {
  let server: NotifyServer | undefined
  let resolve: (server: NotifyServer) => void = () => {}
  const started = new Promise<NotifyServer>((done) => {
    resolve = done
  })
  return {
    started,
    current: () => server,
    fill(next: NotifyServer): void {
      invariant(server === undefined, 'A process starts one notify server')
      server = next
      resolve(next)
    },
  }
}

const startServer = (
  context: RoomContext,
  parts: Parts,
  link: RelayLink,
  { lookup, verifySignature, relay }: Neighbours,
): NotifyServer => {
  const { config, urls, clock, log, metrics: meter, randomBytes, owned } = context
  const rules = addressRules(config.allowPrivateAddresses.webhooks)
  const post = createPublicFetch({ rules, gate: createHostGate({ clock }, WEBHOOK_CALLS) })
  const { store, jobQueue, vault } = parts
  owned.use(createWebhookCalls({ store, jobQueue, vault, post, clock, log, meter }))
  owned.use(takePushReports(context, createPushReceipts({ store, vault, webhooks: parts.webhooks })))
  const server = createNotifyServer(
    {
      ...parts,
      ...{ lookup, clock, log, meter, randomBytes },
      leaderTask: context.leaderTask,
      connectRelay: link.connect(relay?.hub),
      relayKey: link.relayKey,
    },
    {
      publicUrl: urls.publicUrl,
      renew: link.renew,
      otherUrls: config.aliases,
      webhooks: link.webhooks,
      ...(verifySignature && { verifySignature }),
    },
  )
  if (link.tellsDelivered) owned.use(link.watchDelivered(relay?.registerWatch))
  return server
}

/** What of the notify room works without the relay; `start` connects it. */
export const buildNotify = async (
  context: RoomContext,
  { vault, serverKeys }: ServerKeyring,
): Promise<NotifyRoom> => {
  const { config, urls, stores, clock, log, metrics: meter, randomBytes, untilAvailable } = context
  const texts = createTextSeal(createContentSeal(serverKeys.root, randomBytes))
  const store = createSealedStore(stores.notify, texts)
  const jobQueue = createSealedJobQueue(stores.jobQueue, texts)
  const { started, current, fill } = createServerSlot()
  const join = async (topic: string) => (await started).join(topic)
  const apps = createApps({ store, vault, clock, randomBytes, join })
  const checkUrl = createUrlCheck(addressRules(config.allowPrivateAddresses.webhooks))
  const webhooks = createWebhooks({ store, jobQueue, vault, clock, randomBytes, checkUrl })
  const limits = createLimits(stores.buckets, config.limits)
  const direct = createDirectSends(clock)
  const publishing = createPublishing({
    ...{ store, jobQueue, apps, webhooks, direct, limits, clock, meter, randomBytes },
  })
  const sent = createNotifications({ store, jobQueue, apps, clock })
  const projects = createProjects(apps, serverKeys.root)
  const link = linkToRelay({ config, urls, clock, log, meter, randomBytes }, serverKeys.relay)

  const routes = new Hono()
  if (link.byWebhook || link.tellsDelivered) {
    const take = async (tokens: readonly string[]) => (await started).relayEvents.posted(tokens)
    routes.route('/', relayWebhookRoutes({ take, log }))
  }
  const told = async (events: readonly WatchEvent[]) => {
    const server = current()
    if (!server) throw new ProtocolError('unavailable', 'the notify server has not started')
    await server.relayEvents.told(events)
  }
  const forDapps = { apps, publishing, sent, webhooks, serverKeys, log, limits, payerFor: context.payerFor }
  routes.route('/', notifyRoutes(forDapps, { publicUrl: urls.publicUrl }))

  return {
    ...{ apps, publishing, sent, webhooks, projects, vault, routes },
    ofRelay: { urls: link.webhooksInside, take: told },
    accountData: {
      export: async (key) => (await started).accountData.export(key),
      erase: async (key) => (await started).accountData.erase(key),
    },
    removeApp: async (domain) => (await started).removeApp(domain),
    isFirstStart: await untilAvailable(() => projects.create(projects.defaultId, 'default')),
    start(neighbours) {
      const parts = { store, jobQueue, vault, apps, serverKeys, webhooks, direct, limits }
      const server = startServer(context, parts, link, neighbours)
      fill(server)
      return server
    },
    server: current,
  }
}

/** The server's own keys, and the vault that they are sealed in. */
export interface ServerKeyring {
  vault: Vault
  serverKeys: ServerKeys
}

/** Throws `StartError` when the keys were sealed with another secret. */
export const openServerKeys = async (
  { config, stores, clock, randomBytes, untilAvailable }: RoomContext,
  { secret, previous }: Secrets,
): Promise<ServerKeyring> => {
  const vault = createVault(secret, randomBytes, previous)
  try {
    const load = () => loadServerKeys({ store: stores.notify, vault, clock, secret })
    return { vault, serverKeys: await untilAvailable(load) }
  } catch (error) {
    if (isUnavailable(error)) throw error
    const sentence =
      config.redisUrl === undefined
        ? 'The data directory was made with another secret: give the right one in BELFRY_SECRET, or none at all.'
        : 'The Redis of REDIS_URL was first used with another secret: give this process the same BELFRY_SECRET.'
    throw new StartError([sentence], { cause: error })
  }
}

/** Makes the apps of the configuration. Throws `StartError` with a sentence for each that cannot be. */
export const declareApps = async (config: Config, { apps, projects }: NotifyRoom): Promise<void> => {
  const mistakes: string[] = []
  for (const { project = projects.defaultId, domain, ...declaration } of config.apps) {
    try {
      await projects.create(project)
      await apps.enrol({ ...checked(AppDeclaration, declaration), projectId: project, domain })
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.http >= 500) throw error
      mistakes.push(`The app ${domain} cannot be declared: ${error.message}.`)
    }
  }
  if (mistakes.length > 0) throw new StartError(mistakes)
}

/** What the first start shows; undefined when the project was made with a secret of its own. */
export const defaultProject = async ({ projects, isFirstStart }: NotifyRoom) => {
  const secret = await projects.ensure(projects.defaultId)
  return secret === null ? undefined : { id: projects.defaultId, secret, isNew: isFirstStart }
}
