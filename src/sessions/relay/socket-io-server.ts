/**
 * Socket.IO itself, with its settings, and what each connection of it is to the session relay. `socket-io.ts` loads it when it
 * is needed first.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server, type ServerOptions, type Socket } from 'socket.io'
import { WebSocketServer } from 'ws'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Gate, SessionAdmission } from './admission.ts'
import type { RemoteConnections } from './peers.ts'
import type { SessionRelay } from './service.ts'
import { chargeUnread, type EngineConnection } from './unread.ts'

const PING_INTERVAL_MS = 25_000
const PING_TIMEOUT_MS = 20_000
const CONNECT_TIMEOUT_MS = 10_000

const admit = async (gate: Gate | undefined, request: IncomingMessage): Promise<void> => {
  if (!gate) throw new ProtocolError('unavailable')
  const address = gate.admission.addressOf(request)
  if (gate.admission.connections.left(address) < 1) throw new ProtocolError('rate_limited')
  await gate.admission.admit(address, 'sessionSocket')
}

interface SocketIoDeps {
  log: Log
  /** Undefined while every connection is refused. */
  gate: () => Gate | undefined
}

interface SocketIoOptions {
  path: string
  adapter: ServerOptions['adapter'] | undefined
  frameBytes: number
}

const createIo = ({ log, gate }: SocketIoDeps, { adapter, frameBytes }: SocketIoOptions): Server =>
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

export interface SocketIo extends RemoteConnections {
  request(request: IncomingMessage, response: ServerResponse): void
  upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): void
  /** Ends every connection. */
  end(): Promise<void>
}

export const createSocketIo = (deps: SocketIoDeps, options: SocketIoOptions): SocketIo => {
  const { log, gate } = deps
  const io = createIo(deps, options)
  // Socket.IO takes over all requests of the server that it is attached to. So it gets a server that never listens, and
  // from it the requests that are meant for Socket.IO.
  const inner = createServer()
  io.attach(inner, { path: options.path })
  io.engine.on('connection', (raw: EngineSocket) => {
    const open = gate()
    if (open) chargeConnection(raw, open.admission, log)
    else raw.close(true)
  })
  io.on('connection', (socket) => {
    const open = gate()
    if (open) attach(socket, open.relay)
    else socket.disconnect(true)
  })
  return {
    emit: (socket, event, ...values) => void io.to(socket).emit(event, ...values),
    close: (socket) => io.in(socket).disconnectSockets(true),
    request: (request, response) => void inner.emit('request', request, response),
    upgrade: (request, raw, head) => void inner.emit('upgrade', request, raw, head),
    end: () => io.close(),
  }
}
