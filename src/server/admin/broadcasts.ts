/**
 * Broadcasts for the operator.
 *
 * | method, path                           | body                                       | answer                         |
 * |----------------------------------------|--------------------------------------------|--------------------------------|
 * | POST   /admin/broadcasts               | `{domain, notification, notificationId?, deliverAt?}` | `{id, status}`                 |
 * | GET    /admin/broadcasts/:domain/:id   |                                            | how far it is                  |
 * | DELETE /admin/broadcasts/:domain/:id   |                                            | `{cancelled}`                  |
 */
import { Hono } from 'hono'
import * as z from 'zod'
import type { Apps } from '../../notify/apps/apps.ts'
import { shownBroadcast } from '../../notify/http/broadcasts.ts'
import { Domain } from '../../notify/http/schema.ts'
import { Broadcast } from '../../notify/http/schema-notifications.ts'
import type { Notifications } from '../../notify/publish/notifications.ts'
import type { Publishing } from '../../notify/publish/service.ts'
import { jsonBody } from '../../platform/net/http.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'

export interface NotifyAdmin {
  apps: Apps
  publishing: Publishing
  sent: Notifications
}

export const Start = z.object({
  domain: Domain,
  notification: z.looseObject({ type: z.string() }),
  notificationId: z.string().min(1).max(255).optional(),
  /** ISO 8601. */
  deliverAt: z.string().optional(),
})

/** `room` throws where this process has no notify room. */
export const adminBroadcasts = (room: () => NotifyAdmin): Hono => {
  const app = new Hono()

  const projectOf = async (domain: string): Promise<string> => {
    const named = Domain.safeParse(domain)
    const found = named.success ? await room().apps.byDomain(named.data) : undefined
    if (!found) throw new ProtocolError('unknown_app')
    return found.record.projectId
  }

  app.post('/admin/broadcasts', jsonBody(Start), async (c) => {
    const { domain, notification, notificationId, deliverAt } = c.req.valid('json')
    const { apps, publishing } = room()
    const found = await apps.byDomain(domain)
    if (!found) throw new ProtocolError('unknown_app', domain)
    const message = checked(Broadcast, {
      notification,
      notification_id: notificationId,
      deliver_at: deliverAt,
    })
    return c.json(await publishing.broadcast(found.record.projectId, { ...message, domain }))
  })

  app.get('/admin/broadcasts/:domain/:id', async (c) => {
    const { domain, id } = c.req.param()
    const projectId = await projectOf(domain)
    return c.json(shownBroadcast(await room().sent.broadcast({ projectId, id, domain })))
  })

  app.delete('/admin/broadcasts/:domain/:id', async (c) => {
    const { domain, id } = c.req.param()
    const projectId = await projectOf(domain)
    await room().sent.broadcast({ projectId, id, domain })
    return c.json({ cancelled: await room().sent.cancel({ projectId, id, domain }) })
  })

  return app
}
