/**
 * Puts the house together: the only place that constructs (with the files of `rooms/`, one a room), and the only
 * one that knows every room.
 *
 * Order matters. The port is open before the notify server starts, because that one reaches the relay like everybody
 * else, through a socket; what is released, at a stop or when the start fails half way, goes in the reverse order.
 */
import { randomBytes as nodeRandomBytes } from 'node:crypto'
import type { Hono } from 'hono'
import { keysRoutes } from '../keys/http.ts'
import { createIdentityLookup } from '../keys/lookup.ts'
import { createKeyRegistry, type KeyRegistry } from '../keys/service.ts'
import { createVault } from '../notify/apps/vault.ts'
import type { NotifyServer } from '../notify/server.ts'
import { createBudgets } from '../platform/budgets/budgets.ts'
import { createWatermark } from '../platform/budgets/watermark.ts'
import { createClientAddress, createProxyTrust } from '../platform/net/client-address.ts'
import { createHostGate } from '../platform/net/host-gate.ts'
import { addressRules, anyAddress } from '../platform/net/public-address.ts'
import { createPublicFetch } from '../platform/net/public-fetch.ts'
import { type Clock, systemClock } from '../platform/runtime/clock.ts'
import { createReleaseStack, type ReleaseStack } from '../platform/runtime/release-stack.ts'
import { type Log, silent, unmeasured } from '../platform/telemetry.ts'
import { toHex } from '../protocol/bytes.ts'
import type { ContractWalletCheck } from '../protocol/signatures.ts'
import { topicOf } from '../protocol/topic.ts'
import { relayKeyFrom } from '../relay/identity.ts'
import type { Stores } from '../storage/stores.ts'
import { createAccounts } from './admin/accounts.ts'
import { createReencryption } from './admin/reencrypt.ts'
import { adminRoutes, operatorCheck } from './admin/routes.ts'
import { createUsage } from './admin/usage-walk.ts'
import { apiPageRoutes } from './api-page.ts'
import type { Config } from './config/config.ts'
import { prepareDataDir, writeAdminAccess } from './config/data-dir.ts'
import { lockDataDir } from './config/data-lock.ts'
import { isSecretOf, loadSecrets, removeRetiredSecrets, retirePreviousSecret } from './config/secret-files.ts'
import { asFileError, StartError } from './config/start-error.ts'
import { lacksPublicUrl, serverUrls } from './config/urls.ts'
import type { RoomContext } from './context.ts'
import { closeServer, createHttpRoutes, createHttpServer, listen } from './http.ts'
import { createHttpGuard } from './http-guard.ts'
import { createLeaderElection } from './leader-election.ts'
import { type Check, metricsRoutes, NotReady, opsRoutes } from './ops.ts'
import { createPayerFor, createPayerOf } from './payer.ts'
import { buildArchive, buildKeeper } from './rooms/archive.ts'
import { buildContacts } from './rooms/contacts.ts'
import { createContractWallets, requireViem } from './rooms/contract-wallets.ts'
import { buildMq } from './rooms/mq.ts'
import { buildNotify, declareApps, defaultProject, loadKeys } from './rooms/notify.ts'
import { buildOperator } from './rooms/operator.ts'
import { buildRelay } from './rooms/relay.ts'
import { buildSessions } from './rooms/sessions.ts'
import { createUntilAvailable, startupRoutes } from './startup.ts'
import { asStartError, hasStore, openEmbedded } from './stores/embedded.ts'
import { openCheckedRedis, refuseRedisMistakes } from './stores/redis.ts'
import { createStoreSweeper } from './sweeper.ts'
import { throttleLog } from './telemetry/log-throttle.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { serveMetrics } from './telemetry/metrics-server.ts'
import { countingViolations } from './telemetry/violation-counter.ts'

export interface ServerDeps {
  clock?: Clock
  log?: Log
  randomBytes?: (length: number) => Uint8Array
  /** Default: made here. */
  metrics?: Metrics
  /** Ends the wait for a store that does not answer. */
  signal?: AbortSignal
}

export interface RunningServer extends AsyncDisposable {
  /** The public one. */
  readonly url: string
  readonly wsUrl: string
  /** Where this machine reaches the server. */
  readonly loopbackUrl: string
  readonly port: number
  /** Undefined when there are none, or on the main port. */
  readonly metricsUrl: string | undefined
  readonly adminToken: string
  /** The default project, where there is a notify room. `isNew`: made by this start. */
  readonly project: { id: string; secret: string; isNew: boolean } | undefined
  readonly stores: Stores
  /** Resolves, with a sentence for the operator, when the server can serve no more until it is started again. */
  readonly lost: Promise<string>
  /** Resolves when everything works, declared apps included; rejects with `StartError` when it never will. */
  ready(): Promise<void>
  /**
   * Takes nothing new, finishes what is in flight, closes every socket with 1001, flushes. When the signal aborts, what
   * is left is cut off; nothing that was acknowledged is lost by that.
   */
  stop(signal?: AbortSignal): Promise<void>
}

const askChains = ({ clock, log }: RoomContext, rpcUrls: Record<string, string>): ContractWalletCheck =>
  createContractWallets({ fetch: createPublicFetch({ rules: anyAddress }), clock, log }, { rpcUrls })

/** A request of a wallet waits for its look-up: so few that most of the 64 at a time are left for others. */
const KEY_SERVER_PLACES = { all: 24, perHost: 12, perOwner: 12, waiting: 4 }

const refuseHalf = async (stores: Stores): Promise<void> => {
  if ((await stores.transfer.note()) !== undefined) {
    throw new StartError(['The store holds half of a migration or a restore: run that command again.'])
  }
}

const HALF = 0.5
const MIB = 1024 * 1024
/** Throws `StartError` for what the operator can put right. Nothing is left behind when it throws. */
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
  const { clock = systemClock } = deps
  const throttled = throttleLog(deps.log ?? silent, clock)
  const metrics = deps.metrics ?? createMetrics({ log: throttled })
  const log = countingViolations(throttled, metrics)
  const randomBytes = deps.randomBytes ?? ((length) => new Uint8Array(nodeRandomBytes(length)))
  const has = (room: Config['rooms'][number]) => config.rooms.includes(room)

  if (config.rpcUrls) requireViem()
  prepareDataDir(config.data)
  owned.use(await lockDataDir(config.data))
  removeRetiredSecrets(config.data, clock.now())
  const isSealed = config.redisUrl === undefined && hasStore(config.data)
  const secretsOf = () => loadSecrets(config.data, config, { randomBytes, hasStore: isSealed })
  // A new secret is on disk before its store. A store that is there may be half of another one, which is told first.
  const early = isSealed ? undefined : secretsOf()
  if (config.redisUrl !== undefined && config.secret === undefined) {
    log.warn(
      {},
      'BELFRY_SECRET is not set: other processes on this Redis need the secret of this data directory',
    )
  }
  const stores = owned.use(
    config.redisUrl === undefined
      ? await openEmbedded(config.data, { log, clock })
      : await openCheckedRedis({ url: config.redisUrl, log }),
  )
  if (isSealed) await refuseHalf(stores)
  const { secret, previous } = early ?? secretsOf()
  const vault = createVault(secret, randomBytes, previous)
  const watermark = owned.use(
    createWatermark(
      // It measures a machine, whatever time it is for the rooms.
      { space: stores.space, clock: systemClock, log, meter: metrics },
      {
        memoryRatio: config.watermark / 100,
        diskBytes: config.diskReserve === undefined ? undefined : config.diskReserve * MIB,
      },
    ),
  )

  const addressOf = createClientAddress(config.trustedProxies)
  const isProxy = createProxyTrust(config.trustedProxies)
  const budgets = createBudgets({ buckets: stores.buckets, clock, pressure: watermark.level }, config.budgets)
  const adminToken = config.adminToken ?? Buffer.from(randomBytes(32)).toString('base64url')
  const isOperator = operatorCheck(adminToken)

  // What answers is known only when the port is; until then nobody is answered.
  let fetch: Hono['fetch'] | undefined
  const server = createHttpServer(
    (request, env, context) => fetch?.(request, env, context) ?? new Response(null, { status: 503 }),
    log,
    createHttpGuard({ budgets, addressOf, isProxy, isOperator, clock, meter: metrics }),
  )
  owned.defer(() => closeServer(server))
  const port = await listen(server, config.port, config.host)
  const urls = serverUrls(config, port)
  if (lacksPublicUrl(config)) {
    log.warn(
      {},
      'BELFRY_PUBLIC_URL is not set, so tokens that were made out to other servers are accepted: set it to how clients reach this one',
    )
  }
  const untilAvailable = createUntilAvailable(
    { stores, clock, log, signal: deps.signal },
    { isEmbedded: config.redisUrl === undefined },
  )
  const leaderTask = createLeaderElection({ leases: stores.leases, clock, log }, toHex(randomBytes(8)))
  const context: RoomContext = {
    ...{ config, urls, stores, clock, log, metrics, randomBytes, owned, untilAvailable, leaderTask },
    ...{ addressOf, budgets, payerOf: createPayerOf(secret), payerFor: createPayerFor(addressOf, budgets) },
  }
  const storeCheck: Check = async () => {
    const trouble = watermark.trouble()
    if (trouble !== undefined) throw new NotReady(trouble)
    await stores.ping()
  }
  fetch = createHttpRoutes({ clock, log, meter: metrics }, startupRoutes({ clock, log }, storeCheck)).fetch
  const { redisUrl: url } = config
  if (url !== undefined) {
    await untilAvailable(async () => {
      // One that was away when it was opened may be a wrong one.
      await refuseRedisMistakes(url)
      await stores.ping()
    })
  }
  await untilAvailable(() => stores.claimFormat()).catch(asStartError)
  await untilAvailable(() => refuseHalf(stores))

  const verifySignature = config.rpcUrls && askChains(context, config.rpcUrls)
  const registry: KeyRegistry | undefined = has('keys')
    ? createKeyRegistry(
        { store: stores.keys, clock, log, ...(verifySignature && { verifySignature }) },
        urls.knownOrigins ? { isOwnUrl: urls.isOwnUrl } : {},
      )
    : undefined
  // A relay without a notify room knows the notify server of the other processes by the store that they share.
  const needsKeys = has('notify') || has('relay') || has('mq')
  const serverKeys = needsKeys ? await loadKeys(context, vault, secret) : undefined
  const notify = has('notify') && serverKeys ? await buildNotify(context, vault, serverKeys) : undefined
  const keeper = has('relay') || has('archive') ? buildKeeper(context) : undefined
  const relay =
    has('relay') && serverKeys && keeper
      ? buildRelay(context, server, relayKeyFrom(serverKeys.root), serverKeys.relay.did, keeper)
      : undefined
  const mq = has('mq') && serverKeys ? buildMq(context, serverKeys.root) : undefined

  if (notify || relay) {
    const sweeping = {
      store: stores.jobQueue,
      leaderTask: leaderTask('agenda sweep'),
      clock,
      log,
      meter: unmeasured,
    }
    owned.use(createStoreSweeper(sweeping))
  }
  if (registry) {
    const sweeping = {
      store: stores.keys,
      leaderTask: leaderTask('keys sweep'),
      clock,
      log,
      meter: unmeasured,
    }
    owned.use(createStoreSweeper(sweeping))
  }
  const archive = has('archive') && keeper ? buildArchive(context, keeper) : undefined
  const sessions = has('sessions') ? await buildSessions(context, server) : undefined

  let isStopping = false
  let notifyServer: NotifyServer | undefined
  const checks: Record<string, Check> = {
    store: storeCheck,
    ...(notify && {
      relay: async () => {
        if (!notifyServer?.healthy()) throw new NotReady('The notify server is not connected to its relay')
      },
    }),
    process: async () => {
      if (isStopping) throw new NotReady('The server is stopping')
    },
  }
  const secretFiles = {
    isPresent: () => config.secret !== undefined || isSecretOf(config.data, secret),
    putAway: () =>
      void (config.secret === undefined && retirePreviousSecret(config.data, secret, clock.now())),
  }
  const routes = createHttpRoutes({ clock, log, meter: metrics }, [
    opsRoutes({ checks, pressure: watermark.level, clock, log }),
    ...(config.metrics === 'shared' ? [metricsRoutes(metrics)] : []),
    adminRoutes({
      token: adminToken,
      projects: notify?.projects,
      apps: notify?.apps,
      publishing: notify?.publishing,
      sent: notify?.sent,
      registry,
      transfer: stores.transfer,
      accounts: notify && createAccounts({ ...stores, notify: notify.accountData, clock }),
      usage: {
        usage: owned.use(createUsage({ transfer: stores.transfer, clock: systemClock, log })),
        relayAdmin: stores.relayAdmin,
        serverTopic: () => serverKeys && topicOf(serverKeys.subscribe.publicKey),
        now: clock.now,
      },
      rotation: () => notifyServer?.rotation,
      reencryption: notify && owned.use(createReencryption({ stores, vault, clock, log }, secretFiles)),
    }),
    ...(registry ? [keysRoutes({ registry, log, payerFor: context.payerFor })] : []),
    ...(has('contacts') ? [buildContacts(context, verifySignature)] : []),
    ...(relay ? [relay.routes] : []),
    ...(mq ? [mq.routes] : []),
    ...(has('operator') ? [buildOperator(context, adminToken, notify?.apps)] : []),
    ...(archive ? [archive.routes] : []),
    ...(sessions ? [sessions.routes] : []),
    ...(notify ? [apiPageRoutes({ publicUrl: urls.publicUrl }), notify.routes] : []),
  ])
  fetch = routes.fetch
  const metricsUrl = await serveMetrics({ metrics, log, owned }, config)

  if (notify) {
    const rules = addressRules(config.allowPrivateAddresses.keys)
    const lookup = createIdentityLookup(
      {
        ...(registry && { registry }),
        fetch: createPublicFetch({
          rules,
          refusal: 'key_server_refused',
          gate: createHostGate({ clock }, KEY_SERVER_PLACES),
        }),
        clock,
        log,
      },
      { isOwnUrl: urls.isOwnUrl, allowed: config.keyServers },
    )
    notifyServer = owned.use(notify.start(lookup, verifySignature))
  }
  owned.use(writeAdminAccess(config.data, { url: urls.loopbackUrl, token: adminToken }))

  const start = async () => {
    await notifyServer?.ready()
    if (notify) await declareApps(config, notify)
  }
  let starting: Promise<void> | undefined
  let stopping: Promise<void> | undefined

  const stop = async (signal: AbortSignal): Promise<void> => {
    isStopping = true
    routes.stopping()
    mq?.endPolls()
    // No new connections; those that are open go on until they are closed below.
    server.close()
    server.closeIdleConnections()
    const patience = new AbortController()
    const half = clock.after(config.shutdownSeconds * 1000 * HALF, () => patience.abort())
    signal.addEventListener('abort', () => patience.abort(), { once: true })
    await routes.idle(patience.signal)
    half[Symbol.dispose]()
    // While the relay still stands: what is in the outbox's hands goes out.
    await notifyServer?.[Symbol.asyncDispose]()
    await relay?.socket.drain(signal)
    await sessions?.relay.drain()
    await owned[Symbol.asyncDispose]()
  }

  const running: RunningServer = {
    url: urls.publicUrl,
    wsUrl: urls.wsUrl,
    loopbackUrl: urls.loopbackUrl,
    port,
    metricsUrl,
    adminToken,
    project: notify && (await untilAvailable(() => defaultProject(notify))),
    stores,
    lost: stores.lost,
    ready() {
      starting ??= start()
      return starting
    },
    stop(signal = new AbortController().signal) {
      stopping ??= stop(signal)
      return stopping
    },
    [Symbol.asyncDispose]: () => running.stop(),
  }
  return running
}
