/**
 * Broadcasts over HTTP; all of it ours, with the project's secret.
 *
 * | method, path                           | answer                                                            |
 * |----------------------------------------|-------------------------------------------------------------------|
 * | POST   /v1/:projectId/broadcasts       | 202 `{id, status}` at once                                        |
 * | GET    /v1/:projectId/broadcasts/:id   | how far it is; `counts` of what became of it so far               |
 * | DELETE /v1/:projectId/broadcasts/:id   | `{cancelled}`: taken back of what was still queued                |
 */
import { Hono, type MiddlewareHandler } from 'hono'
import { jsonBody } from '../../platform/net/http.ts'
import type { Notifications } from '../publish/notifications.ts'
import type { Publishing } from '../publish/service.ts'
import { named } from './notifications.ts'
import { Broadcast, type BroadcastAnswer } from './schema-notifications.ts'

/** How far a broadcast is, as everybody is answered. */
export const shownBroadcast = ({
  progress,
  counts,
}: Awaited<ReturnType<Notifications['broadcast']>>): BroadcastAnswer => {
  const { id, domain, status, startAt, endedAt, total, handed, skipped } = progress
  return {
    id,
    app_domain: domain,
    status,
    start_at: new Date(startAt).toISOString(),
    ended_at: endedAt === null ? null : new Date(endedAt).toISOString(),
    total,
    handed,
    skipped,
    counts,
  }
}

export const broadcastRoutes = (
  deps: {
    publishing: Publishing
    sent: Notifications
    /** Counts against the project's quota of the day. */
    takeOfDay: (projectId: string, count: number) => Promise<void>
  },
  { secret, limited }: { secret: MiddlewareHandler; limited: MiddlewareHandler },
): Hono => {
  const { publishing, sent, takeOfDay } = deps
  const app = new Hono()

  app.post('/v1/:projectId/broadcasts', secret, limited, jsonBody(Broadcast), async (c) => {
    const projectId = c.req.param('projectId')
    await takeOfDay(projectId, 1)
    return c.json(await publishing.broadcast(projectId, c.req.valid('json')), 202)
  })

  app.get('/v1/:projectId/broadcasts/:id', secret, async (c) =>
    c.json(shownBroadcast(await sent.broadcast(named(c, c.req.param())))),
  )

  app.delete('/v1/:projectId/broadcasts/:id', secret, async (c) => {
    const one = named(c, c.req.param())
    // It must be one.
    await sent.broadcast(one)
    return c.json({ cancelled: await sent.cancel(one) })
  })

  return app
}
