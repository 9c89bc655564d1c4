/**
 * Puts the house together, in order: what lasts, the port, what rooms are given, the rooms, their routes. The services of a
 * room are constructed by its file in `rooms/`, once.
 *
 * The port is open before the notify server starts, because that one may ask the relay, and be told by it, over HTTP.
 * What is released, at a stop or when the start fails half way, is released in the reverse order.
 */
import type { Server } from 'node:http'
import type { Hono } from 'hono'
import { createBudgets } from '../platform/budgets/budgets.ts'
import { createWatermark, type Watermark } from '../platform/budgets/watermark.ts'
import { createClientAddress } from '../platform/net/client-address.ts'
import { systemClock } from '../platform/runtime/clock.ts'
import { createReleaseStack, type ReleaseStack } from '../platform/runtime/release-stack.ts'
import { MIB_BYTES } from '../platform/units.ts'
import { relayKeyFrom } from '../relay/identity.ts'
import type { Stores } from '../storage/stores.ts'
import type { Config } from './config/config.ts'
import { writeAdminAccess } from './config/data-dir.ts'
import type { Secrets } from './config/secret-files.ts'
import { asFileError } from './config/start-error.ts'
import { createBlocks } from './console/blocks.ts'
import { createContext, type RoomContext } from './context.ts'
import { createHttpRoutes, type HttpRoutes } from './http.ts'
import { openListener } from './listener.ts'
import { documentRoutes } from './openapi/documents.ts'
import { apiPageRoutes } from './openapi/page.ts'
import { type Check, metricsRoutes, NotReady, opsRoutes } from './ops.ts'
import { pageRoutes } from './pages.ts'
import { createPayerOf } from './payer.ts'
import { buildAdmin } from './rooms/admin.ts'
import { buildArchive, buildKeeper } from './rooms/archive.ts'
import { buildChains } from './rooms/chains.ts'
import { buildConsole } from './rooms/console.ts'
import { buildContacts } from './rooms/contacts.ts'
import { buildContractWallets, requireViem } from './rooms/contract-wallets.ts'
import { buildExplorer } from './rooms/explorer.ts'
import { buildIdentityLookup, buildKeys } from './rooms/keys.ts'
import { buildMq } from './rooms/mq.ts'
import { buildNotify, declareApps, defaultProject, openServerKeys } from './rooms/notify.ts'
import { buildOperator } from './rooms/operator.ts'
import { buildPush, buildPushLink } from './rooms/push.ts'
import { declarePush } from './rooms/push-declared.ts'
import { createTold } from './rooms/push-reports.ts'
import { buildRelay } from './rooms/relay.ts'
import { buildSessions } from './rooms/sessions.ts'
import { buildVerify } from './rooms/verify.ts'
import { createRunningServer, createStop, type RunningServer } from './running-server.ts'
import { createRuntime, type Runtime, type ServerDeps } from './runtime.ts'
import { startupRoutes } from './start-without-store.ts'
import { awaitStore, openStores } from './stores/open.ts'
import { sweepJobs, sweepRows } from './sweeper.ts'
import { serveMetrics } from './telemetry/metrics-server.ts'

export type { RunningServer } from './running-server.ts'
export type { ServerDeps } from './runtime.ts'

/**
 * Starts a server with the rooms of the configuration.
 *
 * @param config what `readConfig` or `configWith` returned.
 * @param deps clock, log, randomness and metrics of the server, and a signal that ends its wait for a store.
 * @returns the server, listening; `ready()` says when everything works.
 * @throws `StartError` for what the operator can put right. Nothing is left behind then.
 */
export const composeServer = async (config: Config, deps: ServerDeps = {}): Promise<RunningServer> => {
  const owned = createReleaseStack()
  try {
    return await build(config, deps, owned)
  } catch (error) {
    await owned[Symbol.asyncDispose]().catch(() => {})
    throw asFileError(config.data, error)
  }
}

const build = async (config: Config, deps: ServerDeps, owned: ReleaseStack): Promise<RunningServer> => {
  const runtime = createRuntime(deps)
  const { clock, log, metrics, randomBytes } = runtime
  const http = { clock, log, meter: metrics }
  if (config.rpcUrls) requireViem()
  const { stores, secrets } = await openStores(config, runtime, owned)
  const { watermark, ...guarded } = buildGuards({ config, stores, owned }, runtime, secrets)
  const adminToken = config.adminToken ?? Buffer.from(randomBytes(32)).toString('base64url')
  const isBlocked = guarded.blocks.isAddressBlocked
  const listener = await openListener(config, { ...runtime, ...guarded, isBlocked, adminToken, owned })
  const { server, port } = listener
  const given = { ...runtime, ...guarded, config, stores, owned }
  const context = createContext(given, { port, signal: deps.signal })
  const storeCheck = createStoreCheck(stores, watermark)
  listener.serve(createHttpRoutes(http, startupRoutes({ clock, log }, storeCheck)).fetch)
  await awaitStore(stores, config, context.untilAvailable)
  await context.untilAvailable(guarded.blocks.load)

  const rooms = await buildRooms(context, server, { secrets, adminToken })
  const { notify, keys, relay, mq, sessions, verifySignature } = rooms
  const stopping = new AbortController()
  const checks = { store: storeCheck, ...createChecks(rooms, stopping.signal) }
  const routes: HttpRoutes = createHttpRoutes(http, [
    opsRoutes({ checks, pressure: watermark.level, clock, log }),
    ...(config.metrics === 'shared' ? [metricsRoutes(metrics)] : []),
    ...buildRoutes(context, rooms, { adminToken, secrets, watermark }),
    documentRoutes({ mounted: () => routes.mounted, log }, context.urls),
  ])
  listener.serve(routes.fetch)
  const metricsUrl = await serveMetrics({ metrics, clock, log, buckets: stores.buckets, owned }, config)
  if (notify) {
    const lookup = buildIdentityLookup(context, keys?.registry)
    owned.use(notify.start({ lookup, verifySignature, relay }))
  }
  const { publicUrl, wsUrl, loopbackUrl } = context.urls
  owned.use(writeAdminAccess(config.data, { url: loopbackUrl, token: adminToken }))

  const start = async () => {
    await notify?.server()?.ready()
    if (notify) await declareApps(config, notify)
    if (rooms.push) await declarePush(config, rooms.push.projects)
  }
  const stop = createStop({
    ...{ clock, server, routes, shutdownSeconds: config.shutdownSeconds },
    begin() {
      stopping.abort()
      mq?.endPolls()
    },
    drains: [
      // While the relay still stands: what the outbox's worker holds goes out.
      () => notify?.server()?.[Symbol.asyncDispose](),
      (signal) => relay?.socket.drain(signal),
      () => sessions?.relay.drain(),
    ],
    release: () => owned[Symbol.asyncDispose](),
  })
  const project = notify && (await context.untilAvailable(() => defaultProject(notify)))
  return createRunningServer(
    { url: publicUrl, wsUrl, loopbackUrl, port, metricsUrl, adminToken, project, stores, lost: stores.lost },
    { start, stop },
  )
}

/** What stands before all rooms: who asks, what that may cost, who is kept out. */
const buildGuards = (
  { config, stores, owned }: { config: Config; stores: Stores; owned: ReleaseStack },
  runtime: Runtime,
  { secret }: Secrets,
) => {
  const { clock, log } = runtime
  const watermark = owned.use(buildWatermark(config, stores, runtime))
  const addressOf = createClientAddress(config.trustedProxies)
  const budgets = createBudgets({ buckets: stores.buckets, clock, pressure: watermark.level }, config.budgets)
  const payerOf = createPayerOf(secret)
  const blocks = owned.use(createBlocks({ store: stores.console, payerOf, clock, log }))
  return { watermark, addressOf, budgets, payerOf, blocks }
}

const buildWatermark = (config: Config, stores: Stores, { log, metrics: meter }: Runtime): Watermark =>
  createWatermark(
    // It measures a machine, whatever time it is for the rooms.
    { space: stores.space, clock: systemClock, log, meter },
    {
      memoryRatio: config.watermark / 100,
      diskBytes: config.diskReserve === undefined ? undefined : config.diskReserve * MIB_BYTES,
    },
  )

const createStoreCheck =
  (stores: Stores, watermark: Watermark): Check =>
  async () => {
    const trouble = watermark.trouble()
    if (trouble !== undefined) throw new NotReady(trouble)
    await stores.ping()
  }

type Rooms = Awaited<ReturnType<typeof buildRooms>>

/** The rooms that the configuration names. One that needs another's part gets it here. */
const buildRooms = async (
  context: RoomContext,
  server: Server,
  { secrets, adminToken }: { secrets: Secrets; adminToken: string },
) => {
  const has = (room: Config['rooms'][number]) => context.config.rooms.includes(room)
  const verifySignature = buildContractWallets(context)
  const keys = has('keys') ? buildKeys(context, verifySignature) : undefined
  // A relay without a notify room knows the notify server of other processes by the store that they share.
  const needsKeys = has('notify') || has('relay') || has('mq') || has('push') || has('verify')
  const keyring = needsKeys ? await openServerKeys(context, secrets) : undefined
  const serverKeys = keyring?.serverKeys
  const notify = has('notify') && keyring ? await buildNotify(context, keyring) : undefined
  const keeper = has('relay') || has('archive') ? buildKeeper(context) : undefined
  const link = has('relay') || has('push') ? buildPushLink(context) : undefined
  const relayKey = serverKeys && relayKeyFrom(serverKeys.root)
  const push =
    has('push') && serverKeys && link
      ? await buildPush(context, serverKeys.root, {
          ...{ link, relayKey: relayKey?.publicKey, adminToken },
          told: createTold(context, { notifyClient: serverKeys.relay.did }),
        })
      : undefined
  const relay =
    has('relay') && serverKeys && relayKey && keeper
      ? buildRelay(
          context,
          server,
          relayKey,
          { notifyClient: serverKeys.relay.did, inside: notify?.ofRelay },
          { archive: keeper, waking: link?.wakes },
        )
      : undefined
  const mq = has('mq') && serverKeys ? buildMq(context, serverKeys.root) : undefined
  sweepRows(context)
  if (notify || relay || push) sweepJobs(context)
  keys?.sweep()
  const archive = has('archive') && keeper ? buildArchive(context, keeper) : undefined
  const sessions = has('sessions') ? await buildSessions(context, server) : undefined
  return { has, verifySignature, keys, serverKeys, notify, relay, mq, archive, sessions, push }
}

/** What the rooms answer over HTTP. */
const buildRoutes = (
  context: RoomContext,
  rooms: Rooms,
  { adminToken, secrets, watermark }: { adminToken: string; secrets: Secrets; watermark: Watermark },
): Hono[] => {
  const { has, verifySignature, keys, serverKeys, notify, relay, mq, archive, sessions, push } = rooms
  const { publicUrl } = context.urls
  const chains = buildChains(context)
  const explorer = buildExplorer(context)
  const console = buildConsole(context, adminToken)
  return [
    buildAdmin(context, rooms, { ...console, watermark, secret: secrets.secret }),
    ...(context.config.pages.includes('console') ? [console.routes] : []),
    ...(keys ? [keys.routes] : []),
    ...(has('contacts') ? [buildContacts(context, verifySignature)] : []),
    ...(relay ? [relay.routes] : []),
    ...(mq ? [mq.routes] : []),
    ...(has('operator') ? [buildOperator(context, adminToken, notify?.apps)] : []),
    ...(archive ? [archive.routes] : []),
    ...(sessions ? [sessions.routes] : []),
    ...(push ? [push.routes] : []),
    chains,
    ...(explorer ? [explorer] : []),
    ...(has('verify') && serverKeys ? [buildVerify(context, serverKeys.root)] : []),
    apiPageRoutes({ publicUrl }),
    ...(notify ? [pageRoutes(context.config.pages), notify.routes] : []),
  ]
}

/** What `/ready` asks beside the store. */
const createChecks = ({ notify }: Rooms, stopping: AbortSignal): Record<string, Check> => ({
  ...(notify && {
    relay: async () => {
      if (!notify.server()?.healthy()) throw new NotReady('The notify server is not connected to its relay')
    },
  }),
  process: async () => {
    if (stopping.aborted) throw new NotReady('The server is stopping')
  },
})
