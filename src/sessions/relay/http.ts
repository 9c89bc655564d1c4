/**
 * The session relay over HTTP.
 *
 * | | |
 * |---|---|
 * | `POST /session/create` | 201 `{"sessionId": 32 hex}`; a body is not looked at |
 * | `/socket.io/…` | Socket.IO's own requests, where a client cannot use a WebSocket |
 * | 429, 503 | too many of one address; the store does not answer |
 */
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import type { SessionAdmission } from './admission.ts'
import type { SessionRelay } from './service.ts'
import { type SessionSockets, SOCKET_IO_PATH } from './socket-io.ts'

export const sessionRoutes = (deps: {
  relay: SessionRelay
  sockets: Pick<SessionSockets, 'handle'>
  admission: SessionAdmission
}): Hono => {
  const { relay, sockets, admission } = deps
  const routes = new Hono<{ Bindings: HttpBindings }>()
  routes.use('/session/create', cors({ origin: '*', exposeHeaders: ['Retry-After'], maxAge: 86_400 }))
  routes.post('/session/create', async (c) => {
    await admission.admit(admission.addressOf(c.env.incoming), 'session')
    return c.json({ sessionId: await relay.create() }, 201)
  })
  routes.on(['GET', 'POST', 'OPTIONS'], SOCKET_IO_PATH, async (c) => {
    await sockets.handle(c.env.incoming, c.env.outgoing)
    return RESPONSE_ALREADY_SENT
  })
  const all = new Hono()
  all.route('/', routes)
  return all
}
