/**
 * The session relay: brings two peers together under an id that only they know, and forwards their messages. It reads no
 * message, stores none and logs none.
 *
 * | an event of a peer      | emitted to it                   | emitted to the other | refused with                     |
 * |-------------------------|---------------------------------|---------------------|-----------------------------------|
 * | `init {sessionId}`      | `initialized {sessionId}`       |                     | not found; already initialized    |
 * | `join {sessionId}`      | `joined {sessionId}`, `session-ready` | `session-ready` | not found; not yet initialized; already has a joiner |
 * | `message <any>`         |                                 | `message <any>`     | not ready; too much; too deep     |
 * | (disconnects)           |                                 | `peer-disconnected`, and is disconnected |              |
 *
 * A refusal is `error {message}` and the end of the connection. A side that is taken stays taken. A session ends when one
 * of its peers disconnects, five minutes after its creation when nobody has joined, and after half an hour in any case.
 * The two peers may be on different processes. When a process dies, the other peers of its sessions are disconnected
 * within `heartbeatTtlMs` and twice `heartbeatEveryMs`.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { toHex } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { Connection, type Peer, type PeerEvents, type Rules, type Seat } from './connection.ts'
import { createHeartbeat, createRelayTimer, type Heartbeat } from './heartbeat.ts'
import { SESSION_LIMITS, type SessionLimits } from './limits.ts'
import { closeWithError, createPeers, type Peers, type RemoteConnections, refuse } from './peers.ts'
import { otherSide, type Session, type SessionsStore, type Side } from './store.ts'

export interface SessionRelayDeps {
  store: SessionsStore
  remote: RemoteConnections
  clock: Clock
  log: Log
  meter: Meter
  randomBytes: (length: number) => Uint8Array
}

export interface SessionRelay extends AsyncDisposable {
  /** The new session's id: 32 hex. */
  create(): Promise<string>
  connect(peer: Peer): PeerEvents
  /** Ends the sessions of all peers here, and their connections. */
  drain(): Promise<void>
}

const SESSION_ID = /^[0-9a-f]{32}$/

const sessionIdIn = (payload: unknown): string | undefined => {
  const id: unknown =
    typeof payload === 'object' && payload !== null ? Reflect.get(payload, 'sessionId') : undefined
  return typeof id === 'string' && SESSION_ID.test(id) ? id : undefined
}

const seatIn = (session: Session, id: string, side: Side): Seat => ({
  id,
  side,
  expiresAt: session.expiresAt,
  other: session[otherSide(side)],
})

/** Ends sessions in the background. */
interface Endings {
  start(seat: Pick<Seat, 'id' | 'side'>): void
  /** Resolves when no ending is under way. */
  settled(): Promise<void>
}

const createEndings = (store: SessionsStore, peers: Peers, log: Log): Endings => {
  const underWay = new Set<Promise<void>>()
  /** Removes the session and disconnects the other peer, unless another call has removed it. */
  const end = async (id: string, side: Side): Promise<void> => {
    const other = (await store.end(id))?.[otherSide(side)]
    if (!other) return
    peers.emit(other, 'peer-disconnected')
    peers.disconnect(other)
  }
  return {
    start({ id, side }) {
      // A session that cannot be removed now expires, and its other peer is disconnected then.
      const work: Promise<void> = end(id, side)
        .catch((err: unknown) => log.warn({ err }, 'A session could not be ended'))
        .finally(() => void underWay.delete(work))
      underWay.add(work)
    },
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay)
    },
  }
}

interface EnterDeps {
  store: SessionsStore
  peers: Peers
  endings: Endings
  heartbeat: Heartbeat
  clock: Clock
  meter: Meter
}

/** Gives a connection its seat in a session. */
const createEnter = (deps: EnterDeps, limits: SessionLimits): Rules['enter'] => {
  const { store, peers, endings, heartbeat, clock, meter } = deps
  const { process, connections } = peers
  return async (connection, side, payload) => {
    const id = sessionIdIn(payload)
    const taken = side === 'initiator' ? 'already_initialized' : 'already_joined'
    if (id === undefined) return refuse(meter, connection, 'not_found')
    if (connection.seat) {
      // A connection keeps the seat that it has.
      const exists = (await store.session(id, clock.now())) !== undefined
      return refuse(meter, connection, exists ? taken : 'not_found')
    }
    // Otherwise the other peer's process could take this one for dead.
    await heartbeat.last()
    const endpoint = { process, socket: connection.peer.id }
    const lifetimeMs = side === 'joiner' ? limits.lifetimeMs : undefined
    const entered = await store.enter(id, side, { endpoint, now: clock.now(), lifetimeMs })
    if (entered.outcome !== 'entered') {
      return refuse(meter, connection, entered.outcome === 'taken' ? taken : entered.outcome)
    }
    const seat = seatIn(entered.session, id, side)
    connection.seat = seat
    // The peer disconnected while the store was asked.
    if (connection.isClosed) return endings.start(seat)
    if (seat.other && (await heartbeat.isDead(seat.other))) {
      endings.start(seat)
      return refuse(meter, connection, 'not_found')
    }
    const local = seat.other?.process === process ? connections.get(seat.other.socket) : undefined
    if (local?.seat) {
      local.seat.other = endpoint
      local.seat.expiresAt = seat.expiresAt
    }
    connection.peer.emit(side === 'initiator' ? 'initialized' : 'joined', { sessionId: id })
    if (!seat.other) return
    meter.count('sessions_joined_total')
    peers.emit(seat.other, 'session-ready')
    connection.peer.emit('session-ready')
  }
}

const createRules = (
  deps: EnterDeps & { log: Log; randomBytes: (length: number) => Uint8Array },
  limits: SessionLimits,
): Rules => {
  const { store, peers, endings, clock, log, meter, randomBytes } = deps
  const rules: Rules = {
    limits,
    enter: createEnter(deps, limits),
    async message(connection, payload) {
      const { seat } = connection
      if (!seat) return rules.refuse(connection, 'not_found')
      if (!seat.other) await rules.find(connection)
      if (seat.other) rules.forward(seat.other, payload)
      else rules.refuse(connection, 'not_ready')
    },
    async find(connection) {
      const { seat } = connection
      if (!seat) return
      const session = await store.session(seat.id, clock.now())
      if (session) Object.assign(seat, seatIn(session, seat.id, seat.side))
      else rules.refuse(connection, 'expired')
    },
    forward(endpoint, payload) {
      meter.count('sessions_messages_total')
      peers.emit(endpoint, 'message', payload)
    },
    refuse: (connection, refusal) => refuse(meter, connection, refusal),
    failed(connection, error) {
      if (error instanceof ProtocolError) {
        log.warn({ err: error }, 'A session could not be served now')
        return closeWithError(connection, error.message)
      }
      const failureId = toHex(randomBytes(8))
      log.error({ err: error, id: failureId }, 'A session failed unexpectedly')
      closeWithError(connection, `Internal server error (${failureId})`)
    },
    disconnected(connection) {
      connection.isClosed = true
      peers.connections.delete(connection.peer.id)
      meter.gauge('sessions_connections', peers.connections.size)
      if (connection.seat) endings.start(connection.seat)
    },
  }
  return rules
}

/** Ends connections whose time is over. The sessions of a process that died expire in the store. */
const expireConnections = (connections: Iterable<Connection>, rules: Rules, now: number): void => {
  for (const connection of connections) {
    const { seat } = connection
    if (!seat && now - connection.connectedAt >= rules.limits.idleMs) rules.refuse(connection, 'silent')
    if (!seat || now < seat.expiresAt) continue
    // The other peer may have joined at another process, which gave the session more time.
    if (seat.other) rules.refuse(connection, 'expired')
    else rules.find(connection).catch((error: unknown) => rules.failed(connection, error))
  }
}

export const createSessionRelay = (
  deps: SessionRelayDeps,
  options: Partial<SessionLimits> = {},
): SessionRelay => {
  const { store, remote, clock, log, meter, randomBytes } = deps
  const limits = { ...SESSION_LIMITS, ...options }
  const process = toHex(randomBytes(8))
  const peers = createPeers(remote, process)
  const { connections } = peers
  const endings = createEndings(store, peers, log)
  const heartbeat = createHeartbeat({ store, clock, log }, { process, ttlMs: limits.heartbeatTtlMs })
  const rules = createRules({ store, peers, endings, heartbeat, clock, log, meter, randomBytes }, limits)
  const expire = (now: number) => expireConnections(connections.values(), rules, now)
  const timer = createRelayTimer({ store, peers, heartbeat, clock, log, meter, expire }, limits)
  let isDraining = false

  const drain = async (): Promise<void> => {
    isDraining = true
    for (const connection of [...connections.values()]) {
      connection.isClosed = true
      connection.peer.close()
      rules.disconnected(connection)
    }
    await endings.settled()
  }

  return {
    async create() {
      const id = toHex(randomBytes(16))
      const now = clock.now()
      await store.create(id, { createdAt: now, expiresAt: now + limits.unjoinedMs })
      meter.count('sessions_created_total')
      return id
    },
    connect(peer) {
      const connection = new Connection(peer, clock.now(), rules)
      connections.set(peer.id, connection)
      meter.gauge('sessions_connections', connections.size)
      timer.start()
      if (isDraining) peer.close()
      return connection
    },
    drain,
    async [Symbol.asyncDispose]() {
      await drain()
      timer[Symbol.dispose]()
    },
  }
}
