/**
 * The session relay over Socket.IO 4, as published clients speak it: `/socket.io/` on the server's own port, WebSocket or
 * polling. Beside its protocol Socket.IO gives each connection a room of its own name, by which its adapter reaches it
 * from another process.
 *
 * Socket.IO, a tenth of the server's code, is loaded for the first request to the path, or with an adapter.
 */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import type { ServerOptions } from 'socket.io'
import { refuseUpgrade, takeUpgrades } from '../../platform/net/upgrades.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { Gate, SessionAdmission } from './admission.ts'
import { SESSION_LIMITS, type SessionLimits } from './limits.ts'
import type { RemoteConnections } from './peers.ts'
import type { SessionRelay } from './service.ts'
import type { SocketIo } from './socket-io-server.ts'

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
  /** A request to the path that is no upgrade. Resolves when Socket.IO has it. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
}

export const createSessionSockets = async (
  { log }: { log: Log },
  server: HttpServer,
  options: SessionSocketsOptions = {},
): Promise<SessionSockets> => {
  const { adapter } = options
  const { frameBytes } = { ...SESSION_LIMITS, ...options.limits }
  let gate: Gate | undefined
  let loaded: SocketIo | undefined
  let loading: Promise<SocketIo> | undefined

  const load = async (): Promise<SocketIo> => {
    const { createSocketIo } = await import('./socket-io-server.ts')
    loaded = createSocketIo({ log, gate: () => gate }, { path: SOCKET_IO_PATH, adapter, frameBytes })
    return loaded
  }
  const socketIo = (): Promise<SocketIo> => {
    loading ??= load()
    return loading
  }
  // Other processes are reached through the adapter, and reach this one, from the start.
  if (adapter) await socketIo()

  const upgrades = takeUpgrades(server, [SOCKET_IO_PATH], (request, raw, head) => {
    socketIo().then(
      (io) => io.upgrade(request, raw, head),
      (err: unknown) => {
        log.error({ err }, 'Socket.IO could not be loaded')
        refuseUpgrade(raw, 503, 'There are no sessions here now')
      },
    )
  })

  return {
    // Where it is not loaded there is no adapter, and so no other process.
    remote: {
      emit: (socket, event, ...values) => loaded?.emit(socket, event, ...values),
      close: (socket) => loaded?.close(socket),
    },
    serve(relay, admission) {
      gate = { relay, admission }
    },
    async handle(request, response) {
      const io = await socketIo()
      io.request(request, response)
    },
    async [Symbol.asyncDispose]() {
      upgrades[Symbol.dispose]()
      gate = undefined
      const io = await loading?.catch(() => undefined)
      await io?.end()
    },
  }
}
