/** A session over a session relay: Socket.IO, as published wallets and dapps speak it. */
import { io, type Socket } from 'socket.io-client'
import * as z from 'zod'
import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { withoutTrailingSlashes } from '../../protocol/urls.ts'
import type { SessionLink } from '../link.ts'
import { openPayload, sealPayload } from '../payload.ts'
import {
  type ChannelDeps,
  type ChannelEvents,
  createReplayGuard,
  createSerialQueue,
  type SessionChannel,
  type SessionRole,
} from './channel.ts'

const CLOSE_TIMEOUT_MS = 1_000

export type SocketLink = Extract<SessionLink, { kind: 'carmentis-relay' }>

const errorSchema = z.object({ message: z.string().max(1_000) })

/** The origin, and the path below which the relay lives: Socket.IO takes a path in its URL for something else. */
export const relayAddressOf = (relay: string): { origin: string; path: string } => {
  const { protocol, host, pathname } = new URL(relay)
  const secure = protocol === 'https:' || protocol === 'wss:'
  return { origin: `${secure ? 'https' : 'http'}://${host}`, path: withoutTrailingSlashes(pathname) }
}

/** Emits what is queued, then disconnects; a socket that cannot do so in time is not waited for. */
const disconnectAfterFlush = (socket: Socket, clock: Clock, end: () => void): Promise<void> =>
  new Promise<void>((resolve) => {
    const timer = clock.after(CLOSE_TIMEOUT_MS, resolve)
    const disconnected = () => {
      timer[Symbol.dispose]()
      resolve()
    }
    socket.io.engine?.once('close', disconnected)
    end()
    if (!socket.io.engine || socket.io.engine.readyState === 'closed') disconnected()
  })

/** What happens on the socket, in the terms of a session. */
interface SocketEvents {
  opened(): void
  ready(): void
  received(payload: unknown): void
  failed(reason: ProtocolError): void
  /** After the messages that came before it. */
  ended(reason: ProtocolError): void
}

const openSocket = (
  { relay, sessionId }: SocketLink,
  role: SessionRole,
  { opened, ready, received, failed, ended }: SocketEvents,
): Socket => {
  const { origin, path } = relayAddressOf(relay)
  const socket = io(origin, {
    path: `${path}/socket.io/`,
    transports: ['websocket'],
    forceNew: true,
    // A session ends with the connection of either end, so a new connection could not resume it.
    reconnection: false,
  })
  socket.on('connect', () => socket.emit(role === 'dapp' ? 'init' : 'join', { sessionId }))
  socket.on('connect_error', (cause) =>
    failed(new ProtocolError('unavailable', 'the relay cannot be reached', { cause })),
  )
  socket.on(role === 'dapp' ? 'initialized' : 'joined', opened)
  socket.on('session-ready', ready)
  socket.on('message', received)
  socket.on('peer-disconnected', () => ended(new ProtocolError('unavailable', 'the other end has left')))
  socket.on('error', (error: unknown) => {
    const parsed = errorSchema.safeParse(error)
    ended(new ProtocolError('not_found', parsed.success ? parsed.data.message : 'the relay refused'))
  })
  socket.on('disconnect', () => ended(new ProtocolError('unavailable', 'the relay has gone')))
  return socket
}

export const openSocketChannel = (
  { clock, log }: ChannelDeps,
  { link, role }: { link: SocketLink; role: SessionRole },
  events: ChannelEvents,
): SessionChannel => {
  const { key } = link
  const sealing = createReplayGuard(
    { seal: (text) => sealPayload(key, text), open: (payload) => openPayload(key, payload) },
    log,
  )
  let closedBy: ProtocolError | undefined

  const end = (reason: ProtocolError): void => {
    if (closedBy) return
    closedBy = reason
    socket.disconnect()
    void Promise.resolve().then(() => events.closed(reason))
  }
  const failed = (error: unknown): void =>
    end(error instanceof ProtocolError ? error : new ProtocolError('internal', undefined, { cause: error }))
  const incoming = createSerialQueue(failed)
  const outgoing = createSerialQueue(failed)

  const socket = openSocket(link, role, {
    opened() {
      if (!closedBy) events.opened()
    },
    ready() {
      if (!closedBy) events.ready()
    },
    received(payload) {
      if (closedBy) return
      void incoming(async () => {
        const text = await sealing.open(payload)
        if (text !== undefined && !closedBy) events.received(text)
      })
    },
    failed: end,
    ended: (reason) => void incoming(async () => end(reason)),
  })

  return {
    async send(text) {
      await outgoing(async () => {
        const payload = await sealing.seal(text)
        if (!closedBy) socket.emit('message', payload)
      })
      if (closedBy) throw closedBy
    },
    async close() {
      if (closedBy) return
      await outgoing(async () => {})
      const closed = new ProtocolError('unavailable', 'the session was closed')
      await disconnectAfterFlush(socket, clock, () => end(closed))
    },
  }
}
