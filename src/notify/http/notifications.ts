/**
 * What became of notifications, over HTTP; all of it ours, with the project's secret.
 *
 * | method, path                                   | answer                                               |
 * |------------------------------------------------|------------------------------------------------------|
 * | GET    /v1/:projectId/notifications            | `{notifications, next}`, newest first                |
 * | GET    /v1/:projectId/notifications/:id        | content, times, status, counts                       |
 * | GET    /v1/:projectId/notifications/:id/receipts | `{receipts, next}`                                 |
 * | DELETE /v1/:projectId/notifications/:id        | `{cancelled}`: what was scheduled or still queued    |
 *
 * Ids are unique per app: `?appDomain=` says which one, where a project uses an id in several.
 */
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { checked } from '../../platform/validate.ts'
import { cacaoSchema } from '../../protocol/cacao.ts'
import type { Named, Notifications, SentNotification } from '../publish/notifications.ts'
import type { ActionAnswer } from '../store/action-answers.ts'
import { ForApp } from './schema.ts'
import { NotificationsPage, ReceiptsPage } from './schema-notifications.ts'

const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())

/** As everybody is answered. */
export const shownNotification = (sent: SentNotification) => ({
  notification_id: sent.id,
  app_domain: sent.domain,
  status: sent.status,
  notification: sent.content,
  collapse_key: sent.collapseKey,
  created_at: iso(sent.createdAt),
  deliver_at: iso(sent.deliverAt),
  deliver_by: iso(sent.deliverBy),
  expires_at: iso(sent.expiresAt),
  counts: sent.counts,
  push: sent.push,
  ...(sent.answers && { answers: sent.answers }),
})

/** What was answered, and what a dapp needs to verify it by itself. */
const shownAnswer = ({ action, at, jwt, cacao, subscriptionId }: ActionAnswer) => ({
  ...{
    action,
    at: iso(at),
    jwt,
    cacao: cacaoSchema.parse(JSON.parse(cacao)),
    subscription_id: subscriptionId,
  },
})

export const shownReceipt = ({
  account,
  state,
  reason,
  at,
  push,
  answer,
}: Awaited<ReturnType<Notifications['receipts']>>['receipts'][number]) => ({
  account,
  state,
  ...(reason !== undefined && { reason }),
  at: iso(at),
  ...(push && { push: { ...push, at: iso(push.at) } }),
  ...(answer && { answer: shownAnswer(answer) }),
})

/** Which one is meant. */
export const named = (c: Context, { projectId, id }: { projectId: string; id: string }): Named => {
  const { appDomain } = checked(ForApp, { appDomain: c.req.query('appDomain') })
  return { projectId, id, domain: appDomain }
}

export const notificationRoutes = (sent: Notifications, secret: MiddlewareHandler): Hono => {
  const app = new Hono()

  app.get('/v1/:projectId/notifications', secret, async (c) => {
    const { appDomain, status, ...page } = checked(NotificationsPage, c.req.query())
    const scheduled = status === 'scheduled'
    const found = await sent.list(c.req.param('projectId'), { ...page, domain: appDomain, scheduled })
    return c.json({ notifications: found.notifications.map(shownNotification), next: found.next })
  })

  app.get('/v1/:projectId/notifications/:id', secret, async (c) =>
    c.json(shownNotification(await sent.find(named(c, c.req.param())))),
  )

  app.get('/v1/:projectId/notifications/:id/receipts', secret, async (c) => {
    const { appDomain: _, ...page } = checked(ReceiptsPage, c.req.query())
    const { receipts, next } = await sent.receipts(named(c, c.req.param()), page)
    return c.json({
      receipts: receipts.map(shownReceipt),
      next,
    })
  })

  app.delete('/v1/:projectId/notifications/:id', secret, async (c) =>
    c.json({ cancelled: await sent.cancel(named(c, c.req.param())) }),
  )

  return app
}
