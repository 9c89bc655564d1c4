/** A session over a session relay: Socket.IO, as published wallets and dapps speak it. */
import { io } from 'socket.io-client'
import * as z from 'zod'
import { ProtocolError } from '../../protocol/errors.ts'
import { withoutTrailingSlashes } from '../../protocol/urls.ts'
import type { SessionLink } from '../link.ts'
import { openPayload, sealPayload } from '../payload.ts'
import {
  type ChannelDeps,
  type ChannelEvents,
  inOrder,
  type SessionChannel,
  type SessionRole,
  sealedOnce,
} from './channel.ts'

const CLOSE_TIMEOUT_MS = 1_000

export type SocketLink = Extract<SessionLink, { kind: 'carmentis-relay' }>

const errorSchema = z.object({ message: z.string().max(1_000) })

/** The origin, and the path below which the relay lives: Socket.IO takes a path in its URL for something else. */
export const addressOf = (relay: string): { origin: string; path: string } => {
  const { protocol, host, pathname } = new URL(relay)
  const secure = protocol === 'https:' || protocol === 'wss:'
  return { origin: `${secure ? 'https' : 'http'}://${host}`, path: withoutTrailingSlashes(pathname) }
}

export const openSocketChannel = (
  { clock, log }: ChannelDeps,
  { link, role }: { link: SocketLink; role: SessionRole },
  events: ChannelEvents,
): SessionChannel => {
  const { key, sessionId, relay } = link
  const { origin, path } = addressOf(relay)
  const sealing = sealedOnce(
    { seal: (text) => sealPayload(key, text), open: (payload) => openPayload(key, payload) },
    log,
  )
  const socket = io(origin, {
    path: `${path}/socket.io/`,
    transports: ['websocket'],
    forceNew: true,
    // A session ends with the connection of either end: there is nothing to come back to.
    reconnection: false,
  })
  let over: ProtocolError | undefined

  const end = (reason: ProtocolError): void => {
    if (over) return
    over = reason
    socket.disconnect()
    void Promise.resolve().then(() => events.closed(reason))
  }
  const failed = (error: unknown): void =>
    end(error instanceof ProtocolError ? error : new ProtocolError('internal', undefined, { cause: error }))
  // What is said as the other leaves was said before it left.
  const incoming = inOrder(failed)
  const outgoing = inOrder(failed)
  const endAfterAll = (reason: ProtocolError): void => void incoming(async () => end(reason))

  socket.on('connect', () => socket.emit(role === 'dapp' ? 'init' : 'join', { sessionId }))
  socket.on('connect_error', (cause) =>
    end(new ProtocolError('unavailable', 'the relay cannot be reached', { cause })),
  )
  socket.on(role === 'dapp' ? 'initialized' : 'joined', () => {
    if (!over) events.opened()
  })
  socket.on('session-ready', () => {
    if (!over) events.ready()
  })
  socket.on('message', (payload: unknown) => {
    if (over) return
    void incoming(async () => {
      const text = await sealing.open(payload)
      if (text !== undefined && !over) events.received(text)
    })
  })
  socket.on('peer-disconnected', () =>
    endAfterAll(new ProtocolError('unavailable', 'the other end has left')),
  )
  socket.on('error', (error: unknown) => {
    const said = errorSchema.safeParse(error)
    endAfterAll(new ProtocolError('not_found', said.success ? said.data.message : 'the relay refused'))
  })
  socket.on('disconnect', () => endAfterAll(new ProtocolError('unavailable', 'the relay has gone')))

  const send = async (text: string): Promise<void> => {
    await outgoing(async () => {
      const payload = await sealing.seal(text)
      if (!over) socket.emit('message', payload)
    })
    if (over) throw over
  }

  return {
    send,
    async close() {
      if (over) return
      await outgoing(async () => {})
      // Socket.IO sends what it holds before it goes; one that cannot is not waited for.
      await new Promise<void>((resolve) => {
        const bound = clock.after(CLOSE_TIMEOUT_MS, resolve)
        socket.io.engine?.once('close', () => {
          bound[Symbol.dispose]()
          resolve()
        })
        end(new ProtocolError('unavailable', 'the session was closed'))
        if (!socket.io.engine || socket.io.engine.readyState === 'closed') {
          bound[Symbol.dispose]()
          resolve()
        }
      })
    },
  }
}
