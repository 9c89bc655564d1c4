/** The relay room, put together: hub, ways in, webhooks, sweeps. */
import type { Server } from 'node:http'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { HOUSE } from '../../platform/budgets/payer.ts'
import { createHostGate } from '../../platform/net/host-gate.ts'
import { addressRules, anyAddress } from '../../platform/net/public-address.ts'
import { createPublicFetch } from '../../platform/net/public-fetch.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { createOtherServerWarning } from '../../relay/fixed-hosts.ts'
import { relayRoutes } from '../../relay/http.ts'
import { type Archiving, createRelayHub, type RelayHub, type Waking } from '../../relay/hub.ts'
import { createWatchEvents } from '../../relay/webhooks/calls.ts'
import type { InsideService } from '../../relay/webhooks/posts.ts'
import { createWatches } from '../../relay/webhooks/registrations.ts'
import { attachRelaySocket, type RelaySocket } from '../../relay/ws.ts'
import type { RoomContext } from '../context.ts'
import { contextAddress } from '../payer.ts'
import { createStoreSweeper } from '../sweeper.ts'

/** Between two looks for messages whose wake-up got lost, ms. */
const CATCH_UP_EVERY_MS = 10_000
/** For the webhooks of anonymous clients: a host is posted to at this pace, however many of them name it. */
const WATCH_PLACES = { all: 256, perHost: 8, perOwner: 16, pace: { burst: 50, perSecond: 25 } }

export interface RelayRoom {
  hub: RelayHub
  socket: RelaySocket
  routes: Hono
  /** For the notify server of this process, at no charge: takes what `irn_watchRegister` takes. */
  registerWatch(registerAuth: string): Promise<unknown>
}

export const buildRelay = (
  context: RoomContext,
  server: Server,
  key: SigningKey,
  { notifyClient, inside }: { notifyClient: string; inside: InsideService | undefined },
  { archive, waking }: { archive: Archiving; waking: Waking | undefined },
): RelayRoom => {
  const { config, urls, stores, clock, log, metrics: meter, randomBytes, owned } = context
  const { addressOf, payerOf, budgets, blocks } = context
  const admission = {
    publicOrigins: urls.knownOrigins,
    projectIds: config.projectIds,
    onOtherServer: createOtherServerWarning({ clock, log }),
  }
  const trusted = (clientId: string) => clientId === notifyClient
  const { relay: store, jobQueue } = stores
  // Anonymous clients never lead inside, whatever the operator allows for others.
  const rules = addressRules()
  const watches = createWatches(
    { store, jobQueue, clock, log, meter },
    {
      relayId: key.did,
      trusted,
      rules,
      publicOrigins: urls.knownOrigins,
    },
  )
  const post = {
    outside: createPublicFetch({ rules, gate: createHostGate({ clock }, WATCH_PLACES) }),
    // To the notify server beside us, wherever the operator has it.
    anywhere: createPublicFetch({ rules: anyAddress }),
  }
  owned.use(createWatchEvents({ store, jobQueue, key, post, inside, clock, log, meter }))
  const hub = owned.use(
    createRelayHub(
      { store, clock, log, meter, randomBytes, watches, archive, waking, budgets, payerOf },
      {
        trusted,
        // Another process may store what no wake-up tells us of.
        catchUpEveryMs: config.redisUrl === undefined ? undefined : CATCH_UP_EVERY_MS,
      },
    ),
  )
  const socket = owned.use(
    attachRelaySocket(
      {
        ...{ hub, addressOf, budgets, clock, log, meter },
        isBlocked: ({ clientId, address }) =>
          blocks.isAddressBlocked(address) || blocks.isClientBlocked(clientId),
      },
      server,
      admission,
    ),
  )
  blocks.onBlocked(() => socket.closeBlocked())
  owned.use(createStoreSweeper({ store, leaderTask: context.leaderTask('relay sweep'), clock, log, meter }))
  const routes = new Hono()
  for (const path of ['/rpc', '/public-key']) routes.use(path, cors({ origin: '*', maxAge: 86_400 }))
  routes.route(
    '/',
    relayRoutes(
      {
        ...{ hub, addressOf: contextAddress(addressOf), clock, log, publicKey: key.publicKey },
        demandUnblocked: blocks.demand,
      },
      admission,
    ),
  )
  return { hub, socket, routes, registerWatch: (token) => watches.register(token, HOUSE.keep) }
}
