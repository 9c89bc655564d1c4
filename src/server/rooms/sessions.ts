/** The sessions room, put together: the relay of wallet sessions and its ways in. */
import type { Server } from 'node:http'
import type { Hono } from 'hono'
import { createRateLimits } from '../../platform/budgets/rate-limits.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import { sessionRoutes } from '../../sessions/relay/http.ts'
import { SESSION_LIMITS, SESSION_RATES } from '../../sessions/relay/limits.ts'
import { createSessionRelay, type SessionRelay } from '../../sessions/relay/service.ts'
import { createSessionSockets } from '../../sessions/relay/socket-io.ts'
import type { RoomContext } from '../context.ts'

export const buildSessions = async (
  context: RoomContext,
  server: Server,
): Promise<{ relay: SessionRelay; routes: Hono }> => {
  const { config, stores, clock, log, metrics: meter, randomBytes, owned, untilAvailable } = context
  const limits = createRateLimits(stores.buckets, SESSION_RATES, config.limits)
  const { work, state, connections, memory } = context.budgets
  const admission = {
    ...{ addressOf: context.addressOf, connections, memory },
    async admit(address: string, what: 'session' | 'sessionSocket') {
      context.blocks.demand({ address })
      work.charge(address, what === 'session' ? WORK_COST.item : WORK_COST.connection)
      await limits.take(what, address)
      if (what === 'session') await state.demand(address, 0, SESSION_LIMITS.unjoinedMs)
    },
  }
  const { sessionsAdapter } = stores
  const adapter = sessionsAdapter && (await untilAvailable(sessionsAdapter))
  const sockets = owned.use(await createSessionSockets({ log }, server, { adapter }))
  const relay = owned.use(
    createSessionRelay({ store: stores.sessions, remote: sockets.remote, clock, log, meter, randomBytes }),
  )
  sockets.serve(relay, admission)
  return { relay, routes: sessionRoutes({ relay, sockets, admission }) }
}
