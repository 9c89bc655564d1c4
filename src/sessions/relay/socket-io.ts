/**
 * The session relay over Socket.IO 4, as published clients speak it: `/socket.io/` on the server's own port, WebSocket or
 * polling. Beside its protocol Socket.IO gives each connection a room of its own name, by which its adapter reaches it
 * from another process.
 */
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Server, type ServerOptions, type Socket } from 'socket.io'
import { WebSocketServer } from 'ws'
import type { Shares } from '../../platform/budgets/shares.ts'
import { takeUpgrades } from '../../platform/net/upgrades.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { SESSION_LIMITS, type SessionLimits } from './limits.ts'
import type { RemoteConnections } from './peers.ts'
import type { SessionRelay } from './service.ts'
import { chargeUnread, type EngineConnection } from './unread.ts'

export const SOCKET_IO_PATH = '/socket.io/'

export interface SessionSocketsOptions {
  /** How processes on one store reach each other's connections. Default: there is one process. */
  adapter?: ServerOptions['adapter'] | undefined
  limits?: Partial<SessionLimits>
}

export interface SessionSockets extends AsyncDisposable {
  readonly remote: RemoteConnections
  /** Before it every connection is refused. */
  serve(relay: SessionRelay, admission: SessionAdmission): void
  /** A request to the path that is no upgrade. */
  handle(request: IncomingMessage, response: ServerResponse): void
}

/** Which connections are admitted. */
export interface SessionAdmission {
  /** By address. */
  connections: Shares
  /** Bytes that peers have not read, by address. */
  memory: Shares
  addressOf(request: IncomingMessage): string
  /** Throws a `ProtocolError` for an address that is not admitted now. */
  admit(address: string, what: 'session' | 'sessionSocket'): Promise<void>
}

const PING_INTERVAL_MS = 25_000
const PING_TIMEOUT_MS = 20_000
const CONNECT_TIMEOUT_MS = 10_000

interface Gate {
  relay: SessionRelay
  admission: SessionAdmission
}

const admit = async (gate: Gate | undefined, request: IncomingMessage): Promise<void> => {
  if (!gate) throw new ProtocolError('unavailable')
  const address = gate.admission.addressOf(request)
  if (gate.admission.connections.left(address) < 1) throw new ProtocolError('rate_limited')
  await gate.admission.admit(address, 'sessionSocket')
}

const createIo = (
  { log, gate }: { log: Log; gate: () => Gate | undefined },
  { adapter, frameBytes }: { adapter: ServerOptions['adapter'] | undefined; frameBytes: number },
): Server =>
  new Server({
    serveClient: false,
    // The id of a session is a capability, so its owner may come from any origin.
    cors: { origin: '*' },
    maxHttpBufferSize: frameBytes,
    connectTimeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    pingTimeout: PING_TIMEOUT_MS,
    httpCompression: false,
    wsEngine: WebSocketServer,
    ...(adapter && { adapter }),
    allowRequest(request, answer) {
      admit(gate(), request).then(
        () => answer(null, true),
        (error: unknown) => {
          if (!(error instanceof ProtocolError)) log.error({ err: error }, 'A connection failed unexpectedly')
          answer(error instanceof ProtocolError ? error.message : 'Internal server error', false)
        },
      )
    },
  })

type EngineSocket = EngineConnection & { request: IncomingMessage }

/** Charges a connection, and what it does not read, to its address. */
const chargeConnection = (raw: EngineSocket, admission: SessionAdmission, log: Log): void => {
  const { connections, memory, addressOf } = admission
  const address = addressOf(raw.request)
  // Other connections of the address may have been admitted since this one was.
  if (!connections.take(address)) {
    raw.close(true)
    return
  }
  raw.once('close', () => connections.give(address))
  chargeUnread(raw, {
    memory,
    address,
    full: () => log.debug({}, 'A peer of a session does not read, and is cut off'),
  })
}

/** Passes the events of a socket on to the relay. */
const attach = (socket: Socket, relay: SessionRelay): void => {
  const events = relay.connect({
    id: socket.id,
    emit: (event, ...values) => void socket.emit(event, ...values),
    close: () => void socket.disconnect(true),
  })
  // A frame may be empty.
  socket.conn.on('data', (data?: string | Buffer) => events.received(data?.length ?? 0))
  socket.on('init', (payload: unknown) => events.enter('initiator', payload))
  socket.on('join', (payload: unknown) => events.enter('joiner', payload))
  socket.on('message', (payload: unknown) =>
    // A function is the acknowledgement of a message without a payload.
    events.message(typeof payload === 'function' ? null : payload),
  )
  // Another process may have emitted it.
  socket.onAnyOutgoing((event: unknown) => {
    if (event === 'session-ready') events.ready()
  })
  socket.on('disconnect', () => events.disconnected())
}

export const createSessionSockets = (
  { log }: { log: Log },
  server: HttpServer,
  options: SessionSocketsOptions = {},
): SessionSockets => {
  const { frameBytes } = { ...SESSION_LIMITS, ...options.limits }
  let gate: Gate | undefined
  const io = createIo({ log, gate: () => gate }, { adapter: options.adapter, frameBytes })
  // Socket.IO takes over all requests of the server that it is attached to. So it gets a server that never listens, and
  // from it the requests that are meant for Socket.IO.
  const inner = createServer()
  io.attach(inner, { path: SOCKET_IO_PATH })
  io.engine.on('connection', (raw: EngineSocket) => {
    if (gate) chargeConnection(raw, gate.admission, log)
    else raw.close(true)
  })
  io.on('connection', (socket) => {
    if (gate) attach(socket, gate.relay)
    else socket.disconnect(true)
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
