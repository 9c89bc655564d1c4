/**
 * The relay: topics, subscriptions, and mailboxes of what is not yet acknowledged. It knows no transport: a connection is a
 * `Peer` and frames of text, or the same as values for a client of this process (`in-process.ts`).
 *
 * What it guarantees: a message that was answered is durable; it reaches every client that is or becomes subscribed
 * before its TTL ends, at least once, in publish order per topic, never its publisher, and never a client that
 * acknowledged it. What it sees is topics, sizes and times.
 *
 * A message ends earlier when only its publisher is subscribed (after 15 minutes, unless it is trusted), when its topic is
 * full (the oldest messages of the largest payers go), or when the publisher's address has too much stored (dropped). A
 * subscription ends 30 days after its client was last connected. A topic that a trusted client owns: no other client
 * subscribes, fetches or acknowledges there. Where many messages wait for a trusted client, payers take turns: publish
 * order then holds for each publisher.
 *
 * | method (also `iridium_*`, `waku_*`) | effect | answer |
 * |---|---|---|
 * | irn_publish, irn_batchPublish | stores, then forwards | `true` when durable; also for what is dropped |
 * | irn_subscribe, irn_batchSubscribe, …Blocking | subscribes the client id; what waits follows 100 ms later | subscription id(s) |
 * | irn_unsubscribe, irn_batchUnsubscribe | ends it; a push that waits is cancelled | `true` |
 * | irn_fetchMessages, irn_batchFetchMessages | what is returned is acknowledged (not with our `keep`) | `{messages, hasMore}` |
 * | irn_batchReceive | acknowledges | `true` |
 * | irn_watchRegister, irn_watchUnregister | `webhooks/registrations.ts` | `{relayId}`, `true` |
 * | wc_proposeSession, wc_approveSession | publish and subscribe in one | `true` |
 * | irn_subscription (ours) | a message; `true` acknowledges it | |
 *
 * Frames come in at `requests/frames.ts`, values at `requests/connections.ts`. The methods are in `methods.ts`, delivery is
 * in `delivery/client-delivery.ts`, the window and backpressure of a connection in `delivery/connection.ts`.
 */
import type { Budgets } from '../platform/budgets/budgets.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { toHex } from '../protocol/bytes.ts'
import { type ConnectedClients, createConnectedClients } from './connected-clients.ts'
import { createAckBatcher, type Seen } from './delivery/ack-batcher.ts'
import type { Connection } from './delivery/connection.ts'
import { Outgoing } from './delivery/outgoing.ts'
import type { Peer } from './delivery/peer.ts'
import { createDrops } from './drops.ts'
import { RELAY_LIMITS, type RelayLimits } from './limits.ts'
import { createMethods } from './methods.ts'
import { createPresence } from './presence.ts'
import { createPublisher, type Forward } from './publish-batcher.ts'
import type { Caller } from './requests/caller.ts'
import { createConnectionRequests } from './requests/connections.ts'
import { createFrames } from './requests/frames.ts'
import { createRequests, type Outcome, type Request } from './requests/serve.ts'
import type { NewMessage, Publication, RelayStore, Subscriber } from './store.ts'
import type { Watches } from './webhooks/registrations.ts'

export type { Connection } from './delivery/connection.ts'
export type { Peer } from './delivery/peer.ts'
export type { RelayLimits } from './limits.ts'

/** Keeps messages for longer than their mailboxes; `archive/keeper` implements it. */
export interface Archiving {
  /** Called with every message, and who pays, before its publisher is answered; undefined when nothing of it is kept. */
  accepted(
    messages: readonly NewMessage[],
    publications: readonly Publication[],
    addresses: readonly string[],
  ): Promise<void> | undefined
}

/** Wakes devices of clients that are not here; `push/delivery/relay-wakes` implements it. */
export interface Waking {
  /** Called with every message before its publisher is answered; undefined when nothing must be durable before. */
  published(
    messages: readonly NewMessage[],
    publications: readonly Publication[],
    addresses: readonly string[],
  ): Promise<void> | undefined
  acknowledged(clientId: string, topic: string, id: string): void
  /** A connection of the client began, or ended. */
  connected(clientId: string): void
  disconnected(clientId: string): void
}

export interface RelayHubDeps {
  store: RelayStore
  clock: Clock
  log: Log
  meter: Meter
  randomBytes: (length: number) => Uint8Array
  /** Without it no client can watch. The hub disposes of it. */
  watches?: Watches
  archive?: Archiving
  waking?: Waking | undefined
  /** Who pays is an address block, and named so in what is stored. */
  budgets: Pick<Budgets, 'work' | 'gate' | 'state' | 'memory'>
  payerOf: (address: string) => string
}

/** Who is at the other end: an authenticated client, and the address block that pays for it. */
export interface Identified {
  clientId: string
  address: string
}

/** A connection as its operator sees it. */
export interface ConnectedShown extends Identified {
  isShared: boolean
  isTrusted: boolean
}

export interface RelayHub extends AsyncDisposable {
  /** A connection of an authenticated client. `share` joins the shared subscription of the client id. */
  connect(peer: Peer, who: Identified & { share: boolean }): Connection
  /** A text frame of the peer. */
  receive(connection: Connection, text: string): void
  /** A request of a peer in this process. `outcome` hears nothing once the connection is gone. */
  request(connection: Connection, request: Request, outcome: Outcome): void
  /** A peer in this process has handled a push. False for an unknown or earlier push. */
  acknowledge(connection: Connection, pushId: number): boolean
  /** The peer has become able to take more. */
  drained(connection: Connection): void
  /** The connection is gone. */
  close(connection: Connection): void
  /** One request without a connection; resolves to the answer. Rejects `bad_json`, `bad_request`, `rate_limited`, `unavailable`. */
  call(who: Identified, text: string): Promise<string>
  /** How many connections this process has, the house's own included, and the first `limit` of them. */
  connected(limit: number): { total: number; connections: ConnectedShown[] }
  /** Not charged. */
  trusts(clientId: string): boolean
}

/** A publish on a topic of more subscribers than this is charged for them. */
const FREE_SUBSCRIBERS = 10
const SUBSCRIBERS_PER_UNIT = 10
/** What a trusted client does with a message before it knows that it is none, units of `work-budget`. */
const TRUSTED_UNITS = 8
/** Close code of a connection when the hub stops. */
const GOING_AWAY_CLOSE_CODE = 1001

export const createRelayHub = (
  deps: RelayHubDeps,
  options: Partial<RelayLimits> & { trusted?: (clientId: string) => boolean } = {},
): RelayHub => {
  const { store, clock, log, meter, randomBytes, watches, waking, budgets, payerOf } = deps
  const { trusted = () => false, ...overrides } = options
  const limits: RelayLimits = { ...RELAY_LIMITS, ...overrides }

  const ackBatcher = createAckBatcher({ store, clock, before: watches?.delivered, log, meter })
  const clients = createConnectedClients({ ...deps, limits, ackBatcher })
  const drops = createDrops({ clock, log, meter })
  const presence = createPresence({ store, clock, log }, clients.clientIds)
  const publisher = createPublisher(
    { store, state: budgets.state, drops, clock, log, meter },
    createForward({ clients, budgets, trusted }),
    createBefore(deps),
  )
  const acknowledged = (clientId: string, topic: string, id: string, seen?: Seen) => {
    // Not the message itself, which would stay in memory until its group is written.
    ackBatcher.acknowledge({ clientId, topic, id, seen: seen && seenOf(seen) })
    for (const delivery of clients.deliveriesOf(clientId)) delivery.acknowledged(topic, id)
    waking?.acknowledged(clientId, topic, id)
  }
  const unsubscribed = (clientId: string, topics: readonly string[]) => {
    for (const delivery of clients.deliveriesOf(clientId)) delivery.unsubscribed(topics)
  }
  const methodDeps = { store, clock, limits, budgets, drops, publisher, ackBatcher, watches }
  const requests = createRequests(
    { budgets, log, meter, newErrorId: () => toHex(randomBytes(8)) },
    createMethods({ ...methodDeps, acknowledged, unsubscribed }),
  )
  const ofConnections = createConnectionRequests({ requests, clients, acknowledged })
  const { receive, call } = createFrames({ requests, ofConnections, presence, budgets })
  const wakes = listenForWakes(store, clients)
  const catchUp = scheduleCatchUp(clock, limits.catchUpEveryMs, clients)

  const callerOf = createCallerOf(trusted, payerOf)
  const close = (connection: Connection): void => {
    if (clients.close(connection)) waking?.disconnected(connection.clientId)
  }

  return {
    connect(peer, { share, ...identified }) {
      const connection = clients.connect(peer, { ...callerOf(identified), share })
      presence.note(identified.clientId)
      waking?.connected(identified.clientId)
      return connection
    },
    receive,
    request: ofConnections.request,
    acknowledge: ofConnections.acknowledge,
    drained: (connection) => connection.drained(),
    close,
    connected: (limit) => firstConnected(clients, limit),
    trusts: trusted,
    call: (identified, text) => call(callerOf(identified), text),
    async [Symbol.asyncDispose]() {
      wakes[Symbol.dispose]()
      catchUp[Symbol.dispose]()
      presence[Symbol.dispose]()
      for (const connection of [...clients.connections.keys()]) {
        connection.close(GOING_AWAY_CLOSE_CODE, 'going away')
        close(connection)
      }
      await publisher.idle()
      await ackBatcher.idle()
      watches?.[Symbol.dispose]()
    },
  }
}

const firstConnected = ({ connections }: Pick<ConnectedClients, 'connections'>, limit: number) => {
  const shown: ConnectedShown[] = []
  for (const { clientId, address, share, trusted } of connections.keys()) {
    if (shown.length === limit) break
    shown.push({ clientId, address, isShared: share, isTrusted: trusted })
  }
  return { total: connections.size, connections: shown }
}

/** What must be durable before a publisher is answered. */
const createBefore =
  ({ archive, watches, waking }: Pick<RelayHubDeps, 'archive' | 'watches' | 'waking'>) =>
  (
    messages: readonly NewMessage[],
    publications: readonly Publication[],
    addresses: readonly string[],
  ): Promise<unknown> | undefined => {
    const archived = archive?.accepted(messages, publications, addresses)
    const watched = watches?.published(messages, publications)
    const woken = waking?.published(messages, publications, addresses)
    return archived || woken ? Promise.all([archived, watched, woken]) : watched
  }

const seenOf = ({ seq, tag, publisher, expiresAt }: Seen): Seen => ({ seq, tag, publisher, expiresAt })

/** Whether the caller is trusted, and who pays. A trusted client pays nothing. */
const createCallerOf =
  (trusted: (clientId: string) => boolean, payerOf: (address: string) => string) =>
  ({ clientId, address }: Identified): Caller => {
    const isTrusted = trusted(clientId)
    const pays = isTrusted ? '' : address
    return { clientId, trusted: isTrusted, address: pays, payer: pays === '' ? '' : payerOf(pays) }
  }

/** Hands a stored message to the subscribers that are connected here, and charges the publisher for them. */
const createForward = (deps: {
  clients: ConnectedClients
  budgets: Pick<Budgets, 'work'>
  trusted: (clientId: string) => boolean
}): Forward => {
  const { clients, budgets, trusted } = deps

  /** Each subscriber was looked at, whether or not it is here; a trusted one opens what it gets. */
  const costOf = (subscribers: readonly Subscriber[]): number =>
    (subscribers.length > FREE_SUBSCRIBERS ? subscribers.length / SUBSCRIBERS_PER_UNIT : 0) +
    (subscribers.some(({ clientId }) => trusted(clientId)) ? TRUSTED_UNITS : 0)

  return (message, { seq, previousSeq, subscribers }, address) => {
    if (address !== '') budgets.work.spend(address, costOf(subscribers))
    for (const delivery of clients.deliveriesOf(message.publisher)) {
      delivery.publishedByClient(message.topic, seq, previousSeq)
    }
    let ready: Outgoing | undefined
    for (const { clientId, caughtUp } of subscribers) {
      if (clientId === message.publisher) continue
      for (const delivery of clients.deliveriesOf(clientId)) {
        ready ??= new Outgoing(message, seq)
        delivery.published(ready, previousSeq, caughtUp)
      }
    }
  }
}

/** Another process stored a message for clients that are connected here. */
const listenForWakes = (store: Pick<RelayStore, 'onWake'>, clients: ConnectedClients): Disposable =>
  store.onWake(({ topic, clientIds }) => {
    for (const clientId of clientIds)
      for (const delivery of clients.deliveriesOf(clientId)) delivery.wake(topic)
  })

/** Wake-ups may be lost, so the mailboxes of all clients are read from time to time. */
const scheduleCatchUp = (
  clock: Clock,
  everyMs: number | undefined,
  clients: Pick<ConnectedClients, 'catchUp'>,
): Disposable => {
  let isOver = false
  let timer: Disposable | undefined
  const schedule = (delayMs: number) => {
    timer = clock.after(delayMs, async () => {
      await clients.catchUp()
      if (!isOver) schedule(delayMs)
    })
  }
  if (everyMs !== undefined) schedule(everyMs)
  return {
    [Symbol.dispose]: () => {
      isOver = true
      timer?.[Symbol.dispose]()
    },
  }
}
