/**
 * The relay: topics, subscriptions, and mailboxes of what is not yet acknowledged. It knows no transport: a connection is a
 * `Peer` and frames of text.
 *
 * What it guarantees: a message that was answered is durable; it reaches every client that is or becomes subscribed
 * before its TTL ends, at least once, in publish order per topic, never its publisher, and never a client that
 * acknowledged it. What it sees is topics, sizes and times.
 *
 * What ends it earlier: nobody but the publisher is subscribed (15 minutes, unless it is trusted); the topic is full (the
 * oldest of who has most there go); the publisher's address keeps too much (dropped). A subscription ends 30 days after
 * its client was last here. A topic that a trusted client owns is nobody else's to subscribe to, fetch or acknowledge.
 * Where many messages wait for a trusted client, payers take turns: publish order then holds for each publisher.
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
 * Delivery is in `delivery/client-delivery.ts`, the brakes of a connection in `delivery/connection.ts`, the methods in `methods.ts`.
 */
import type { Budgets } from '../platform/budgets/budgets.ts'
import { frameCost, WORK_COST } from '../platform/budgets/work-budget.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { toHex } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { parseRpc, rpcFailure, rpcResult } from '../protocol/jsonrpc.ts'
import { canonicalMethod } from '../protocol/relay-methods.ts'
import { createAckBatcher } from './delivery/ack-batcher.ts'
import { ClientDelivery } from './delivery/client-delivery.ts'
import { Connection, type Peer } from './delivery/connection.ts'
import { outgoing } from './delivery/topic-cursor.ts'
import { createDrops } from './drops.ts'
import { RELAY_LIMITS, type RelayLimits } from './limits.ts'
import { type Caller, createMethods, type Reply } from './methods.ts'
import { createPresence } from './presence.ts'
import { createPublisher } from './publish-batcher.ts'
import type { NewMessage, Publication, RelayStore, Subscriber } from './store.ts'
import type { Seen, Watches } from './webhooks/registrations.ts'

export type { Connection, Peer } from './delivery/connection.ts'
export type { RelayLimits } from './limits.ts'

/** Keeps messages for longer than their mailboxes; `archive/keeper` implements it. */
export interface Archiving {
  /** Shown every message before its publisher is answered, and who pays; undefined when nothing of it is kept. */
  accepted(
    messages: readonly NewMessage[],
    publications: readonly Publication[],
    addresses: readonly string[],
  ): Promise<void> | undefined
}

export interface RelayHubDeps {
  store: RelayStore
  clock: Clock
  log: Log
  meter: Meter
  randomBytes: (length: number) => Uint8Array
  /** Without it nobody can watch. The hub disposes of it. */
  watches?: Watches
  archive?: Archiving
  /** Who pays is an address block, and named so in what is stored. */
  budgets: Pick<Budgets, 'work' | 'gate' | 'state' | 'memory'>
  payerOf: (address: string) => string
}

/** Who is at the other end: an authenticated client, and the address block that pays for it. */
export interface Identified {
  clientId: string
  address: string
}

export interface RelayHub extends AsyncDisposable {
  /** A connection of an authenticated client. `share` joins the shared subscription of the client id. */
  connect(peer: Peer, who: Identified & { share: boolean }): Connection
  /** A text frame of the peer. */
  receive(connection: Connection, text: string): void
  /** The peer has become able to take more. */
  drained(connection: Connection): void
  /** The connection is gone. */
  close(connection: Connection): void
  /** One request without a connection; resolves to the answer. Rejects `bad_json`, `bad_request`, `rate_limited`, `unavailable`. */
  call(who: Identified, text: string): Promise<string>
  /** Not charged. */
  trusts(clientId: string): boolean
}

/** A publish on a topic of more subscribers than this is charged for them. */
const FREE_SUBSCRIBERS = 10
const SUBSCRIBERS_PER_UNIT = 10
/** What a trusted client does with a message before it knows that it is none, units of `work-budget`. */
const TRUSTED_UNITS = 8

export const createRelayHub = (
  deps: RelayHubDeps,
  options: Partial<RelayLimits> & { trusted?: (clientId: string) => boolean } = {},
): RelayHub => {
  const { store, clock, log, meter, randomBytes, watches, archive, budgets, payerOf } = deps
  const { trusted = () => false, ...overrides } = options
  const limits: RelayLimits = { ...RELAY_LIMITS, ...overrides }

  /** The deliveries of each client that is connected here: one a connection, and one for all shared ones. */
  const clients = new Map<string, Set<ClientDelivery>>()
  /** The connections, and the delivery that each reads from. */
  const connections = new Map<Connection, ClientDelivery>()

  const process = toHex(randomBytes(8))
  let connectionCount = 0
  let lastId = 0
  /** 16 digits, as published clients expect, and rising. */
  const nextPushId = () => {
    lastId = Math.max(lastId + 1, clock.now() * 1000)
    return lastId
  }
  const newErrorId = () => toHex(randomBytes(8))

  /** How the caller stands to us. The house pays nothing. */
  const callerOf = ({ clientId, address }: Identified): Caller => {
    const isTrusted = trusted(clientId)
    const pays = isTrusted ? '' : address
    return { clientId, trusted: isTrusted, address: pays, payer: pays === '' ? '' : payerOf(pays) }
  }

  /** Each subscriber was looked at, whether or not it is here; a trusted one opens what it gets. */
  const forwardCost = (subscribers: readonly Subscriber[]): number =>
    (subscribers.length > FREE_SUBSCRIBERS ? subscribers.length / SUBSCRIBERS_PER_UNIT : 0) +
    (subscribers.some(({ clientId }) => trusted(clientId)) ? TRUSTED_UNITS : 0)

  const drops = createDrops({ clock, log, meter })
  const presence = createPresence({ store, clock, log }, () => clients.keys())
  const ackBatcher = createAckBatcher({ store, log, meter })
  const publisher = createPublisher(
    { store, state: budgets.state, drops, clock, log, meter },
    (message, { seq, previousSeq, subscribers }, address) => {
      if (address !== '') budgets.work.spend(address, forwardCost(subscribers))
      for (const delivery of clients.get(message.publisher) ?? []) {
        delivery.publishedByClient(message.topic, seq, previousSeq)
      }
      let ready: ReturnType<typeof outgoing> | undefined
      for (const { clientId, caughtUp } of subscribers) {
        const deliveries = clientId === message.publisher ? undefined : clients.get(clientId)
        if (!deliveries) continue
        ready ??= outgoing(message, seq)
        for (const delivery of deliveries) delivery.published(ready, previousSeq, caughtUp)
      }
    },
    (messages, publications, addresses) => {
      const kept = archive?.accepted(messages, publications, addresses)
      const told = watches?.published(messages, publications)
      return kept ? Promise.all([kept, told]) : told
    },
  )

  const acknowledged = (clientId: string, topic: string, id: string, seen?: Seen) => {
    ackBatcher.acknowledge(clientId, topic, id, watches?.delivered(clientId, topic, id, seen))
    for (const delivery of clients.get(clientId) ?? []) delivery.acknowledged(topic, id)
  }

  const methods = createMethods({
    store,
    clock,
    limits,
    budgets,
    drops,
    publisher,
    ackBatcher,
    watches,
    acknowledged,
    unsubscribed: (clientId, topics) => {
      for (const delivery of clients.get(clientId) ?? []) delivery.unsubscribed(topics)
    },
  })

  const failureOf = (idText: string | null, error: unknown): string => {
    if (error instanceof ProtocolError) return rpcFailure(idText, error.rpc, error.message)
    const id = newErrorId()
    log.error({ err: error, id }, 'A relay request failed unexpectedly')
    const internal = new ProtocolError('internal', id)
    return rpcFailure(idText, internal.rpc, internal.message)
  }

  /** Serves one request; `send` gets exactly one frame, unless `refuse` is there and gets what can be asked again later. */
  const serve = (
    caller: Caller,
    request: { idText: string; method: string; params: unknown },
    send: (frame: string) => boolean,
    refuse?: (error: ProtocolError) => void,
  ): void => {
    const name = canonicalMethod(request.method)
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined
    meter.count('relay_requests_total', { method: method ? name : 'unknown' })
    let inProgress = 0
    let ended = false
    /** False when it has ended before. */
    const finish = (): boolean => {
      if (ended) return false
      ended = true
      if (inProgress > 0) budgets.gate.leave(caller.address, inProgress)
      return true
    }
    const end = (frame: () => string): boolean => finish() && send(frame())
    const entered = async (turn: Promise<boolean>, items: number) => {
      if (!(await turn)) throw new ProtocolError('rate_limited', 'its connection is gone')
      inProgress = items
    }
    const reply: Reply = {
      enter(items) {
        if (caller.address === '') return undefined
        const { connection, address } = caller
        const cost = Math.max(0, items - 1) * WORK_COST.item
        // Over HTTP nothing can be held back: it is refused.
        if (!connection) budgets.work.charge(address, cost)
        const asked = { items, cost: connection ? cost : 0, isWanted: () => connection?.open ?? true }
        const turn = budgets.gate.enter(address, asked)
        if (turn) return entered(connection ? connection.awaits(turn) : turn, items)
        inProgress = items
        return undefined
      },
      answer: (result) => end(() => rpcResult(request.idText, result)),
      fail: (error) => {
        const isUnavailable = error instanceof ProtocolError && error.code === 'unavailable'
        if (isUnavailable) log.warn({ err: error, method: name }, 'A relay request could not be served now')
        const isLater = error instanceof ProtocolError && error.retryAfter !== undefined
        if (refuse && (isUnavailable || isLater)) finish() && refuse(error)
        else end(() => failureOf(request.idText, error))
      },
    }
    try {
      if (!method) throw new ProtocolError('unknown_method')
      const work = method(caller, request.params, reply)
      if (work) work.catch(reply.fail)
    } catch (error) {
      reply.fail(error)
    }
  }

  const wakes = store.onWake(({ topic, clientIds }) => {
    for (const clientId of clientIds)
      for (const delivery of clients.get(clientId) ?? []) delivery.stirred(topic)
  })

  let catchingUp: Disposable | undefined
  const catchUpLater = (every: number) => {
    catchingUp = clock.after(every, async () => {
      for (const deliveries of [...clients.values()])
        for (const delivery of [...deliveries]) await delivery.catchUp()
      if (catchingUp) catchUpLater(every)
    })
  }
  if (limits.catchUpEveryMs !== undefined) catchUpLater(limits.catchUpEveryMs)

  /** The delivery that a new connection reads from: one of its own, or that of all shared ones of its client. */
  const deliveryFor = (who: { clientId: string; share: boolean; inTurns: boolean }): ClientDelivery => {
    const deliveries = clients.get(who.clientId) ?? new Set()
    clients.set(who.clientId, deliveries)
    const known = who.share ? [...deliveries].find(({ shared }) => shared) : undefined
    if (known) return known
    const delivery = new ClientDelivery({ store, clock, log, meter, limits, ackBatcher }, who)
    deliveries.add(delivery)
    return delivery
  }

  const hub: RelayHub = {
    connect(peer, { share, ...identified }) {
      const { clientId, address, payer, trusted: isTrusted } = callerOf(identified)
      const delivery = deliveryFor({ clientId, share, inTurns: isTrusted })
      const id = `${process}-${++connectionCount}`
      const who = { id, clientId, share, trusted: isTrusted, address, payer, resume: () => delivery.resume() }
      const connection = new Connection({ clock, log, meter, limits, budgets, nextPushId }, peer, who)
      delivery.join(connection)
      connections.set(connection, delivery)
      presence.note(clientId)
      meter.gauge('relay_connections', connections.size)
      return connection
    },

    receive(connection, text) {
      if (!connection.open) return
      const size = text.length
      let message: ReturnType<typeof parseRpc>
      try {
        message = parseRpc(text)
      } catch (error) {
        connection.spend(frameCost(size))
        connection.send(failureOf(null, error))
        return
      }
      if (message.kind === 'result' || message.kind === 'failure') {
        // An error or `false` leaves the message in flight: it comes again. Some clients answer other things than `true`.
        const isTaken = message.kind === 'result' && message.result !== false
        const entry = isTaken ? connection.answered(Number(message.idText.replaceAll('"', ''))) : undefined
        // An acknowledgement of usual size is free.
        connection.spend(frameCost(size) - (entry ? WORK_COST.request : 0))
        if (!entry) return
        acknowledged(connection.clientId, entry.message.topic, entry.message.id, entry.message)
        connections.get(connection)?.resume()
        return
      }
      connection.spend(frameCost(size))
      // Nobody waits for an answer to a notification, and no method makes sense as one.
      if (message.kind === 'notification') return
      connection.began(size)
      const { clientId, trusted, address, payer } = connection
      const caller = { clientId, trusted, address, payer, connection, delivery: connections.get(connection) }
      serve(caller, message, (frame) => {
        connection.ended(size)
        return connection.send(frame)
      })
    },

    drained: (connection) => connection.drained(),

    close(connection) {
      const delivery = connections.get(connection)
      if (!delivery) return
      connections.delete(connection)
      const inFlight = connection.end()
      const deliveries = clients.get(connection.clientId)
      if (delivery.leave(connection, inFlight)) deliveries?.delete(delivery)
      if (deliveries?.size === 0) clients.delete(connection.clientId)
      meter.gauge('relay_connections', connections.size)
    },

    trusts: trusted,

    async call(who, text) {
      const caller = callerOf(who)
      const message = parseRpc(text)
      if (message.kind !== 'request')
        throw new ProtocolError('bad_request', 'it must be one request with an id')
      if (!caller.trusted) budgets.work.charge(caller.address, frameCost(text.length))
      presence.note(caller.clientId)
      return new Promise((resolve, reject) => {
        const send = (frame: string) => {
          resolve(frame)
          return true
        }
        serve(caller, message, send, reject)
      })
    },

    async [Symbol.asyncDispose]() {
      wakes[Symbol.dispose]()
      catchingUp?.[Symbol.dispose]()
      catchingUp = undefined
      presence[Symbol.dispose]()
      for (const connection of [...connections.keys()]) {
        connection.close(1001, 'going away')
        hub.close(connection)
      }
      await publisher.idle()
      await ackBatcher.idle()
      watches?.[Symbol.dispose]()
    },
  }
  return hub
}
