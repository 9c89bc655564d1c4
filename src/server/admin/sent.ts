/**
 * What became of an app's notifications, for the operator, in the words of the HTTP API.
 *
 * | method, path                                          | query                        | answer                  |
 * |-------------------------------------------------------|------------------------------|-------------------------|
 * | GET    /admin/apps/:domain/notifications              | `status?` `after?` `limit?`  | `{notifications, next}` |
 * | GET    /admin/apps/:domain/notifications/:id          |                              | the notification        |
 * | GET    /admin/apps/:domain/notifications/:id/receipts | `state?` `after?` `limit?`   | `{receipts, next}`      |
 * | DELETE /admin/apps/:domain/notifications/:id          |                              | `{cancelled}`           |
 */
import { Hono } from 'hono'
import type { Apps } from '../../notify/apps/apps.ts'
import { shownNotification, shownReceipt } from '../../notify/http/notifications.ts'
import { Domain } from '../../notify/http/schema.ts'
import { NotificationsPage, ReceiptsPage } from '../../notify/http/schema-notifications.ts'
import type { Named, Notifications } from '../../notify/publish/notifications.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'

/** `room` throws where this process has no notify room. */
export const adminSent = (room: () => { apps: Pick<Apps, 'byDomain'>; sent: Notifications }): Hono => {
  const app = new Hono()
  const path = '/admin/apps/:domain/notifications'

  const named = async ({
    domain,
    id = '',
  }: {
    domain: string
    id?: string
  }): Promise<Named & { domain: string }> => {
    const text = Domain.safeParse(domain)
    const found = text.success ? await room().apps.byDomain(text.data) : undefined
    if (!found) throw new ProtocolError('unknown_app')
    return { projectId: found.record.projectId, domain: found.record.domain, id }
  }

  app.get(path, async (c) => {
    const { projectId, domain } = await named(c.req.param())
    const { status, after, limit } = checked(NotificationsPage, c.req.query())
    const found = await room().sent.list(projectId, {
      domain,
      after,
      limit,
      scheduled: status === 'scheduled',
    })
    return c.json({ notifications: found.notifications.map(shownNotification), next: found.next })
  })
  app.get(`${path}/:id`, async (c) =>
    c.json(shownNotification(await room().sent.find(await named(c.req.param())))),
  )
  app.get(`${path}/:id/receipts`, async (c) => {
    const { appDomain: _, ...page } = checked(ReceiptsPage, c.req.query())
    const { receipts, next } = await room().sent.receipts(await named(c.req.param()), page)
    return c.json({ receipts: receipts.map(shownReceipt), next })
  })
  app.delete(`${path}/:id`, async (c) =>
    c.json({ cancelled: await room().sent.cancel(await named(c.req.param())) }),
  )
  return app
}
