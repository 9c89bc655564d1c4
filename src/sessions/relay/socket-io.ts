/**
 * The session relay over Socket.IO 4, as published clients speak it: `/socket.io/` on the server's own port, WebSocket or
 * polling. Beside its protocol Socket.IO gives each connection a room of its own name, by which its adapter reaches it
 * from another process.
 */
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Server, type ServerOptions } from 'socket.io'
import { WebSocketServer } from 'ws'
import type { Shares } from '../../platform/budgets/shares.ts'
import { takeUpgrades } from '../../platform/net/upgrades.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { SESSION_LIMITS, type SessionLimits } from './limits.ts'
import type { RemoteConnections, SessionRelay } from './service.ts'
import { chargeUnread, type EngineConnection } from './unread.ts'

export const SOCKET_IO_PATH = '/socket.io/'

export interface SessionSocketsOptions {
  /** How processes on one store reach each other's connections. Default: there is one process. */
  adapter?: ServerOptions['adapter'] | undefined
  limits?: Partial<SessionLimits>
}

export interface SessionSockets extends AsyncDisposable {
  readonly remote: RemoteConnections
  /** From here on connections are served. */
  serve(relay: SessionRelay, admission: SessionAdmission): void
  /** A request to the path that is no upgrade. */
  handle(request: IncomingMessage, response: ServerResponse): void
}

/** Who may connect; throws `ProtocolError` for who may not, now. */
export interface SessionAdmission {
  /** Of addresses. */
  connections: Shares
  /** Bytes that peers have not read, of addresses. */
  memory: Shares
  addressOf(request: IncomingMessage): string
  admit(address: string, what: 'session' | 'sessionSocket'): Promise<void>
}

const PING_INTERVAL_MS = 25_000
const PING_TIMEOUT_MS = 20_000
const CONNECT_TIMEOUT_MS = 10_000

export const createSessionSockets = (
  { log }: { log: Log },
  server: HttpServer,
  options: SessionSocketsOptions = {},
): SessionSockets => {
  const limits = { ...SESSION_LIMITS, ...options.limits }
  let gate: { relay: SessionRelay; admission: SessionAdmission } | undefined

  const admit = async (request: IncomingMessage): Promise<void> => {
    if (!gate) throw new ProtocolError('unavailable')
    const address = gate.admission.addressOf(request)
    if (gate.admission.connections.left(address) < 1) throw new ProtocolError('rate_limited')
    await gate.admission.admit(address, 'sessionSocket')
  }

  const io = new Server({
    serveClient: false,
    // Capability and not cookie: whoever knows a session's id may come from anywhere.
    cors: { origin: '*' },
    maxHttpBufferSize: limits.frameBytes,
    connectTimeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    pingTimeout: PING_TIMEOUT_MS,
    httpCompression: false,
    wsEngine: WebSocketServer,
    ...(options.adapter && { adapter: options.adapter }),
    allowRequest(request, answer) {
      admit(request).then(
        () => answer(null, true),
        (error: unknown) => {
          if (!(error instanceof ProtocolError)) log.error({ err: error }, 'A connection failed unexpectedly')
          answer(error instanceof ProtocolError ? error.message : 'Internal server error', false)
        },
      )
    },
  })
  // Socket.IO takes over the requests of the server that it is attached to; ours has other rooms, too. So it gets one that
  // never listens, and from it what is meant for Socket.IO.
  const inner = createServer()
  io.attach(inner, { path: SOCKET_IO_PATH })

  io.engine.on('connection', (raw: EngineConnection & { request: IncomingMessage }) => {
    if (!gate) return raw.close(true)
    const { connections, memory, addressOf } = gate.admission
    const address = addressOf(raw.request)
    // Others of the address may have come since it was asked.
    if (!connections.take(address)) return raw.close(true)
    raw.once('close', () => connections.give(address))
    chargeUnread(raw, {
      memory,
      address,
      full: () => log.debug({}, 'A peer of a session does not read, and is cut off'),
    })
  })

  io.on('connection', (socket) => {
    if (!gate) return void socket.disconnect(true)
    const attached = gate.relay.connect({
      id: socket.id,
      emit: (event, ...values) => void socket.emit(event, ...values),
      close: () => void socket.disconnect(true),
    })
    // A frame may be empty.
    socket.conn.on('data', (data?: string | Buffer) => attached.received(data?.length ?? 0))
    socket.on('init', (payload: unknown) => attached.enter('initiator', payload))
    socket.on('join', (payload: unknown) => attached.enter('joiner', payload))
    socket.on('message', (payload: unknown) =>
      // A function is the acknowledgement of a message without a payload.
      attached.message(typeof payload === 'function' ? null : payload),
    )
    // Emitted here by another process.
    socket.onAnyOutgoing((event: unknown) => {
      if (event === 'session-ready') attached.ready()
    })
    socket.on('disconnect', () => attached.left())
  })

  const upgrades = takeUpgrades(server, [SOCKET_IO_PATH], (request, raw, head) => {
    inner.emit('upgrade', request, raw, head)
  })

  return {
    remote: {
      emit: (socket, event, ...values) => void io.to(socket).emit(event, ...values),
      close: (socket) => io.in(socket).disconnectSockets(true),
    },
    serve(relay, admission) {
      gate = { relay, admission }
    },
    handle: (request, response) => void inner.emit('request', request, response),
    async [Symbol.asyncDispose]() {
      upgrades[Symbol.dispose]()
      gate = undefined
      await io.close()
    },
  }
}
