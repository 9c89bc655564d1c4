/** The sessions room, put together: the relay of wallet sessions and its ways in. */
import type { Server } from 'node:http'
import type { Hono } from 'hono'
import { createLimits } from '../notify/limits.ts'
import { sessionRoutes } from '../sessions/http.ts'
import { createSessionRelay, type SessionRelay } from '../sessions/service.ts'
import { createSessionSockets } from '../sessions/socket-io.ts'
import type { Ground } from './ground.ts'

export const buildSessions = async (
  ground: Ground,
  server: Server,
): Promise<{ relay: SessionRelay; routes: Hono }> => {
  const { config, stores, clock, log, metrics: meter, randomBytes, owned, patient } = ground
  const limits = createLimits(stores.buckets, config.limits)
  const admission = {
    addressOf: ground.addressOf,
    admit: (address: string, what: 'session' | 'sessionSocket') => limits.take(what, address),
  }
  const { sessionsAdapter } = stores
  const adapter = sessionsAdapter && (await patient(sessionsAdapter))
  const sockets = owned.use(createSessionSockets({ log }, server, { adapter }))
  const relay = owned.use(
    createSessionRelay({ store: stores.sessions, afar: sockets.afar, clock, log, meter, randomBytes }),
  )
  sockets.serve(relay, admission)
  return { relay, routes: sessionRoutes({ relay, sockets, admission }) }
}
