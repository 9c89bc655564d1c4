/**
 * The session relay: brings two peers together under a name that only they know, and passes on what they say. It reads
 * nothing of it, keeps nothing of it and logs none of it.
 *
 * | a peer says             | it hears                        | the other hears     | refused with                      |
 * |-------------------------|---------------------------------|---------------------|-----------------------------------|
 * | `init {sessionId}`      | `initialized {sessionId}`       |                     | not found; already initialized    |
 * | `join {sessionId}`      | `joined {sessionId}`, `session-ready` | `session-ready` | not found; not yet initialized; already has a joiner |
 * | `message <any>`         |                                 | `message <any>`     | not ready; too much; too deep     |
 * | (leaves)                |                                 | `peer-disconnected`, and is disconnected |              |
 *
 * A refusal is `error {message}` and the end of the connection. Nobody is displaced: a side that is taken stays taken. A
 * session ends when one of its peers leaves, five minutes after its creation when nobody has joined, after half an hour in
 * any case. The two may be on different processes; when a process dies, the peers of its peers hear of it within
 * `heartbeatTtlMs` and twice `heartbeatEveryMs`.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { toHex } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { type Attached, Connection, type Peer, REFUSALS, type Rules, type Seat } from './connection.ts'
import { SESSION_LIMITS, type SessionLimits } from './limits.ts'
import { type Endpoint, otherSide, type Session, type SessionsStore, type Side } from './store.ts'

/** Reaches the connections of other processes. */
export interface RemoteConnections {
  emit(socket: string, event: string, ...values: unknown[]): void
  close(socket: string): void
}

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
  connect(peer: Peer): Attached
  /** Ends the sessions of all peers here, and their connections. */
  drain(): Promise<void>
}

const SESSION_ID = /^[0-9a-f]{32}$/
const TICK_MS = 1_000

const sessionIdIn = (payload: unknown): string | undefined => {
  const id: unknown =
    typeof payload === 'object' && payload !== null ? Reflect.get(payload, 'sessionId') : undefined
  return typeof id === 'string' && SESSION_ID.test(id) ? id : undefined
}

export const createSessionRelay = (
  deps: SessionRelayDeps,
  options: Partial<SessionLimits> = {},
): SessionRelay => {
  const { store, remote, clock, log, meter, randomBytes } = deps
  const limits = { ...SESSION_LIMITS, ...options }
  const process = toHex(randomBytes(8))
  const connections = new Map<string, Connection>()
  const ending = new Set<Promise<void>>()
  let draining = false

  /** To a peer, wherever it is. */
  const tell = ({ process: where, socket }: Endpoint, event: string, ...values: unknown[]): void => {
    if (where !== process) remote.emit(socket, event, ...values)
    else connections.get(socket)?.peer.emit(event, ...values)
  }
  const dismiss = ({ process: where, socket }: Endpoint): void => {
    const connection = where === process ? connections.get(socket) : undefined
    if (connection) {
      connection.over = true
      connection.peer.close()
    } else if (where !== process) remote.close(socket)
  }

  const say = (connection: Connection, message: string): void => {
    if (connection.over) return
    connection.over = true
    connection.peer.emit('error', { message })
    connection.peer.close()
  }

  /** Removes the session and lets the other peer go, if nobody else has done so. */
  const end = async (id: string, side: Side): Promise<void> => {
    const other = (await store.end(id))?.[otherSide(side)]
    if (!other) return
    tell(other, 'peer-disconnected')
    dismiss(other)
  }
  const endSoon = (id: string, side: Side): void => {
    // What cannot be removed now expires; its other peer hears of it then.
    const work: Promise<void> = end(id, side)
      .catch((err: unknown) => log.warn({ err }, 'A session could not be ended'))
      .finally(() => void ending.delete(work))
    ending.add(work)
  }

  const isDead = async (endpoint: Endpoint): Promise<boolean> =>
    endpoint.process !== process && (await store.deadProcesses([endpoint.process], clock.now())).length > 0

  const placed = (session: Session, id: string, side: Side): Seat => ({
    id,
    side,
    expiresAt: session.expiresAt,
    other: session[otherSide(side)],
  })

  const rules: Rules = {
    limits,

    async enter(connection, side, payload) {
      const id = sessionIdIn(payload)
      const taken = side === 'initiator' ? 'already_initialized' : 'already_joined'
      if (id === undefined) return rules.refuse(connection, 'not_found')
      if (connection.seat) {
        // Who has a side has it for good.
        const isThere = (await store.session(id, clock.now())) !== undefined
        return rules.refuse(connection, isThere ? taken : 'not_found')
      }
      // Or the other side might take us for dead.
      await living
      const endpoint = { process, socket: connection.peer.id }
      const lifetimeMs = side === 'joiner' ? limits.lifetimeMs : undefined
      const entered = await store.enter(id, side, { endpoint, now: clock.now(), lifetimeMs })
      if (entered.outcome !== 'entered') {
        return rules.refuse(connection, entered.outcome === 'taken' ? taken : entered.outcome)
      }
      const seat = placed(entered.session, id, side)
      connection.seat = seat
      // It left while the store was asked.
      if (connection.over) return endSoon(id, side)
      if (seat.other && (await isDead(seat.other))) {
        endSoon(id, side)
        return rules.refuse(connection, 'not_found')
      }
      const own = seat.other?.process === process ? connections.get(seat.other.socket) : undefined
      if (own?.seat) {
        own.seat.other = endpoint
        own.seat.expiresAt = seat.expiresAt
      }
      connection.peer.emit(side === 'initiator' ? 'initialized' : 'joined', { sessionId: id })
      if (!seat.other) return
      meter.count('sessions_joined_total')
      tell(seat.other, 'session-ready')
      connection.peer.emit('session-ready')
    },

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
      if (session) Object.assign(seat, placed(session, seat.id, seat.side))
      else rules.refuse(connection, 'expired')
    },

    forward(endpoint, payload) {
      meter.count('sessions_messages_total')
      tell(endpoint, 'message', payload)
    },

    refuse(connection, refusal) {
      if (connection.over) return
      meter.count('sessions_refused_total', { reason: refusal })
      say(connection, REFUSALS[refusal])
    },

    failed(connection, error) {
      if (error instanceof ProtocolError) {
        log.warn({ err: error }, 'A session could not be served now')
        return say(connection, error.message)
      }
      const failure = toHex(randomBytes(8))
      log.error({ err: error, id: failure }, 'A session failed unexpectedly')
      say(connection, `Internal server error (${failure})`)
    },

    left(connection) {
      connection.over = true
      connections.delete(connection.peer.id)
      meter.gauge('sessions_connections', connections.size)
      const { seat } = connection
      if (seat) endSoon(seat.id, seat.side)
    },
  }

  /** Peers whose time is over. A session whose process died ends in the store by itself. */
  const expire = (now: number): void => {
    for (const connection of connections.values()) {
      const { seat } = connection
      if (!seat && now - connection.since >= limits.idleMs) rules.refuse(connection, 'silent')
      if (!seat || now < seat.expiresAt) continue
      // The other may have joined at another process, which gave the session more time.
      if (seat.other) rules.refuse(connection, 'expired')
      else rules.find(connection).catch((error: unknown) => rules.failed(connection, error))
    }
  }
  /** Peers whose other was on a process that has died. Twice, because a store that was away makes all seem dead. */
  const mourn = async (): Promise<void> => {
    const afarOf = ({ seat }: Connection) => (seat?.other?.process === process ? undefined : seat?.other)
    const waiting = [...connections.values()].filter((one) => afarOf(one) !== undefined)
    const processes = new Set(waiting.flatMap((one) => afarOf(one)?.process ?? []))
    const deadProcesses = new Set(
      processes.size === 0 ? [] : await store.deadProcesses([...processes], clock.now()),
    )
    for (const connection of waiting) {
      connection.misses = deadProcesses.has(afarOf(connection)?.process ?? '') ? connection.misses + 1 : 0
      if (connection.misses < 2 || connection.over) continue
      meter.count('sessions_peers_lost_total')
      connection.over = true
      connection.peer.emit('peer-disconnected')
      connection.peer.close()
    }
  }

  let living = Promise.resolve()
  const renew = (): Promise<void> => {
    living = store.heartbeat(process, clock.now() + limits.heartbeatTtlMs)
    living.catch((err: unknown) => log.warn({ err }, 'The session relay cannot say that it lives'))
    return living
  }

  // One tick for all, while there is somebody: a process without connections need not be known to live.
  let ticking: Disposable | undefined
  let renewedAt = 0
  let looking = false
  const lookAfterOthers = async (): Promise<void> => {
    looking = true
    try {
      await renew()
      await mourn()
    } catch (err) {
      log.debug({ err }, 'Who has died is looked for later')
    } finally {
      looking = false
    }
  }
  const tick = (): void => {
    ticking = clock.after(TICK_MS, () => {
      ticking = undefined
      const now = clock.now()
      expire(now)
      if (now - renewedAt >= limits.heartbeatEveryMs && !looking) {
        renewedAt = now
        void lookAfterOthers()
      }
      if (connections.size > 0) tick()
    })
  }
  const begin = (): void => {
    if (ticking) return
    renewedAt = clock.now()
    renew().catch(() => {})
    tick()
  }

  const drain = async (): Promise<void> => {
    draining = true
    for (const connection of [...connections.values()]) {
      connection.over = true
      connection.peer.close()
      rules.left(connection)
    }
    while (ending.size > 0) await Promise.all(ending)
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
      begin()
      if (draining) peer.close()
      return connection
    },
    drain,
    async [Symbol.asyncDispose]() {
      await drain()
      ticking?.[Symbol.dispose]()
    },
  }
}
