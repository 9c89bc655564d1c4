/** Push, put together: what every relay process has of it, and the room that answers, sends and looks after dead processes. */
import { readFileSync } from 'node:fs'
import type { Context, Hono } from 'hono'
import { Hono as Router } from 'hono'
import { createRateLimits } from '../../platform/budgets/rate-limits.ts'
import { createHostGate } from '../../platform/net/host-gate.ts'
import { type AddressRules, addressRules, anyAddress } from '../../platform/net/public-address.ts'
import { createPublicFetch } from '../../platform/net/public-fetch.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { type ContentSeal, createContentSeal } from '../../platform/runtime/content-seal.ts'
import { unmeasured } from '../../platform/telemetry.ts'
import { toHex } from '../../protocol/bytes.ts'
import { createDeliver } from '../../push/deliveries.ts'
import { type Connected, createConnected } from '../../push/delivery/connected.ts'
import { createKnownClients, type KnownClients } from '../../push/delivery/known-clients.ts'
import { createPayment } from '../../push/delivery/payment.ts'
import { createProviders, type Providers } from '../../push/delivery/providers.ts'
import { recoverDead } from '../../push/delivery/recovery.ts'
import { additionsFor, createRelayWakes, type RelayWakes } from '../../push/delivery/relay-wakes.ts'
import { createSender, type Told } from '../../push/delivery/sender.ts'
import { createPushWorker } from '../../push/delivery/worker.ts'
import { createDevices } from '../../push/devices.ts'
import { deviceRoutes } from '../../push/http/devices.ts'
import { publishedRoutes } from '../../push/http/published.ts'
import { createSignatureCheck } from '../../push/http/relay-signature.ts'
import { tenantRoutes } from '../../push/http/tenants.ts'
import { PUSH_LIMITS, PUSH_RATES } from '../../push/limits.ts'
import { createPushOperator, type PushOperator } from '../../push/operator.ts'
import { createProjects, type Projects } from '../../push/projects.ts'
import { APNS_URLS } from '../../push/providers/apns.ts'
import { createHostPlaces } from '../../push/providers/host-places.ts'
import type { Provider } from '../../push/providers/provider.ts'
import { createProviderRequests } from '../../push/providers/request.ts'
import { createVapid, newVapidKey, type Vapid } from '../../push/providers/vapid.ts'
import { createWebPush } from '../../push/providers/web-push.ts'
import { isKnownAudience } from '../../relay/auth.ts'
import { StartError } from '../config/start-error.ts'
import { operatorCheck } from '../console/operator.ts'
import type { RoomContext } from '../context.ts'
import { contextAddress } from '../payer.ts'
import { createStoreSweeper } from '../sweeper.ts'

/** Fixed in published clients, which are led here by name. */
const PUBLISHED = 'https://echo.walletconnect.com'
/** Posts to push services that strangers named; owners are projects. */
const PUSH_SERVICES = { all: 512, perHost: 64, perOwner: 256, waiting: 512 }
const PUBLIC_KEY_REQUESTS = { all: 8, perHost: 2, perOwner: 8 }
const VAPID_PLACE = ['push.vapid']

/** What a relay process has, whether it serves the room or not. */
export interface PushLink {
  wakes: RelayWakes
  connected: Connected
  known: KnownClients
  /** By which the store knows this process, once it has said that it lives. */
  processId: () => string | undefined
}

export const buildPushLink = (context: RoomContext): PushLink => {
  const { stores, budgets, clock, log, metrics: meter, randomBytes, owned } = context
  const { push: store } = stores
  const known = owned.use(createKnownClients({ store, clock }))
  const pay = createPayment({ ...budgets, clock, meter })
  let processId: string | undefined
  const connected = owned.use(
    createConnected({
      ...{ store, known, clock, log },
      newProcessId() {
        processId = toHex(randomBytes(8))
        return processId
      },
      async push(clientId, messages) {
        const client = (await known.among([clientId])).get(clientId)
        if (!client) return
        const now = clock.now()
        const additions = additionsFor(client, await pay(messages, client.devices.length), now)
        if (additions.length > 0) await store.add(additions, { limit: PUSH_LIMITS.messages, now })
      },
    }),
  )
  const wakes = createRelayWakes({ store, known, connected, pay, clock })
  return { wakes, connected, known, processId: () => processId }
}

export interface PushRoom {
  projects: Projects
  operator: PushOperator
  routes: Hono
}

const readCa = (file: string | undefined): string | undefined => {
  if (file === undefined) return undefined
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new StartError([`BELFRY_PUSH_CA cannot be read: ${file}.`], { cause })
  }
}

/** The server's key for Web Push: made at the first start, one for all processes. */
const loadVapid = async ({ stores, config, urls, clock, untilAvailable }: RoomContext, seal: ContentSeal) => {
  const fresh = seal.seal(VAPID_PLACE, await newVapidKey())
  const sealed = await untilAvailable(() => stores.push.vapidKey(fresh))
  const isPublic = urls.publicUrl.startsWith('https:')
  const contact = config.pushContact ?? (isPublic ? urls.publicUrl : 'mailto:postmaster@localhost')
  return createVapid({ clock }, { key: seal.open(VAPID_PLACE, sealed), contact })
}

/** Work that ends soon after its signal, which disposing gives. */
const inBackground = (work: (signal: AbortSignal) => Promise<void>): AsyncDisposable => {
  const ending = new AbortController()
  const working = work(ending.signal)
  return {
    async [Symbol.asyncDispose]() {
      ending.abort()
      await working
    },
  }
}

/** Sends what waits, and what processes that died had to push. */
const startSending = (
  context: RoomContext,
  {
    link,
    projects,
    providers,
    told,
  }: { link: PushLink; projects: Projects; providers: Providers; told: Told },
): void => {
  const { config, stores, clock, log, metrics: meter, owned } = context
  const { push: store, relay: mailboxes } = stores
  const send = createSender({ store, projects, providers, mailboxes, told, clock, log, meter })
  owned.use(createPushWorker({ store, projects, send, clock, log }))
  const recovery = { store, mailboxes, known: link.known, clock, log }
  const isAlone = config.redisUrl === undefined
  // In every process: what two of them find is added once, and a leader that died would be waited for.
  owned.use(inBackground((signal) => recoverDead(recovery, { isAlone, own: link.processId }, signal)))
  owned.use(
    createStoreSweeper({
      store,
      leaderTask: context.leaderTask('push sweep'),
      clock,
      log,
      meter: unmeasured,
    }),
  )
}

/** Push services are asked like every host that a stranger named. */
const buildWebPush = ({
  rules,
  ca,
  vapid,
  clock,
}: {
  rules: AddressRules
  ca: string | undefined
  vapid: Vapid
  clock: Clock
}): Provider => {
  const gate = createHostGate({ clock }, PUSH_SERVICES)
  const fetch = createPublicFetch({ rules, gate, ...(ca !== undefined && { ca }) })
  return createWebPush({ fetch, places: createHostPlaces({ clock }), vapid, clock })
}

export const buildPush = async (
  context: RoomContext,
  root: Uint8Array,
  {
    link,
    relayKey,
    adminToken,
    told,
  }: { link: PushLink; relayKey: Uint8Array | undefined; adminToken: string; told: Told },
): Promise<PushRoom> => {
  const { config, urls, stores, clock, log, metrics: meter, randomBytes, owned, payerFor } = context
  const { push: store } = stores
  const seal = createContentSeal(root, randomBytes)
  const ca = readCa(config.pushCa)
  const rules = addressRules(config.allowPrivateAddresses.push)
  const vapid = await loadVapid(context, seal)
  const projects = owned.use(createProjects({ store, seal, clock, log, meter, randomBytes }))
  const requests = owned.use(createProviderRequests({ ca }))
  const { apns, 'apns-sandbox': sandbox, fcm: fcmUrl } = config.pushUrls
  const apnsUrls = { production: apns ?? APNS_URLS.production, sandbox: sandbox ?? APNS_URLS.sandbox }
  const providers = owned.use(
    createProviders(
      {
        projects,
        webPush: buildWebPush({ rules, ca, vapid, clock }),
        requests,
        clock,
      },
      { ca, apnsUrls, fcmUrl },
    ),
  )
  startSending(context, { link, projects, providers, told })

  const limits = createRateLimits(stores.buckets, PUSH_RATES, config.limits)
  const devices = createDevices(
    { store, projects, limits, rules, clock, meter },
    { projectDevices: config.pushDevices },
  )
  const origins = urls.knownOrigins && [...urls.knownOrigins, PUBLISHED]
  const isAudience = (url: unknown) => !origins || isKnownAudience(url, origins)
  const nameOf = (c: Context) => context.payerOf(contextAddress(context.addressOf)(c))
  const isSigned = createSignatureCheck(
    // Relays that the operator named, wherever they are.
    {
      fetch: createPublicFetch({ rules: anyAddress, gate: createHostGate({ clock }, PUBLIC_KEY_REQUESTS) }),
      clock,
      log,
    },
    { relays: config.pushRelays, own: relayKey },
  )
  const common = { devices, payerFor, nameOf, isAudience, now: clock.now, log }
  const isOperator = operatorCheck(adminToken)
  const routes = new Router()
  routes.route('/', deviceRoutes({ ...common, vapidKey: vapid.publicKey }))
  routes.route(
    '/',
    tenantRoutes(
      { projects, isOperator: (c) => isOperator({ headers: Object.fromEntries(c.req.raw.headers) }), log },
      { publicUrl: urls.publicUrl },
    ),
  )
  routes.route(
    '/',
    publishedRoutes({ ...common, deliver: createDeliver({ store, projects, limits, clock }), isSigned }),
  )
  return { projects, operator: createPushOperator({ store, projects, providers, clock }), routes }
}
