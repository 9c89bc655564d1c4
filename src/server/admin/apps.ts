/**
 * Apps and notifications for the operator.
 *
 * | method, path                           | body or query                                | answer                       |
 * |----------------------------------------|----------------------------------------------|------------------------------|
 * | POST   /admin/apps                     | `{domain, project?, …}` and what it declares | the app, its project's secret |
 * | GET    /admin/apps                     | `after?`, `limit?`                           | `{apps, next}`               |
 * | GET    /admin/apps/:domain             |                                              | the app, `subscribers`       |
 * | PUT    /admin/apps/:domain             | what it declares                             | the app, `subscribers`       |
 * | DELETE /admin/apps/:domain             |                                              | `{ended, isRemoved}`: again until it is |
 * | GET    /admin/apps/:domain/welcome     |                                              | `{welcome}`, or null in it   |
 * | PUT    /admin/apps/:domain/welcome     | `{enabled, type, title, body, url?}`         | the same                     |
 * | GET    /admin/apps/:domain/subscribers | `after?`, `limit?`                           | `{subscribers, next}`        |
 * | POST   /admin/notify                   | `{domain, notification, accounts, deliverAt?}` | `{sent, failed, not_found, scheduled?}` |
 *
 * What an app declares: `name?`, `description?`, `url?`, `icons?`, `types?`, `listed?`, `links?`.
 */
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { Apps } from '../../notify/apps/apps.ts'
import type { RemovedApp } from '../../notify/apps/removal.ts'
import { AppDeclaration, Domain } from '../../notify/http/schema.ts'
import { NotifyV0 } from '../../notify/http/schema-notifications.ts'
import { WelcomeNotification } from '../../notify/http/welcome.ts'
import type { NotifyOutcome, Publishing } from '../../notify/publish/service.ts'
import type { AppRecord } from '../../notify/store/store.ts'
import { jsonBody } from '../../platform/net/http.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Projects } from './default-project.ts'
import { page } from './page.ts'

export interface AdminAppsDeps {
  apps: Apps
  projects: Projects
  publishing: Publishing
  /** How many subscribers an app has, expired ones included. */
  subscriberCount(domain: string): Promise<number>
  removeApp(domain: string): Promise<RemovedApp>
}

/** What `app add` prints. */
export interface AddedApp {
  projectId: string
  /** Null when the project was made with another secret. */
  secret: string | null
  domain: string
  subscribeKey: string
  authenticationKey: string
  types: { id: string; name: string }[]
}

export const EnrolApp = z.intersection(
  AppDeclaration,
  z.object({ domain: Domain, project: z.string().min(1).max(64).optional() }),
)
export const Notify = z.object({
  domain: Domain,
  notification: z.looseObject({ type: z.string() }),
  notificationId: z.string().min(1).max(255).optional(),
  accounts: z.array(z.string()).min(1).max(10_000),
  /** ISO 8601. */
  deliverAt: z.string().optional(),
})

/** The type may be named. */
export const Welcome = WelcomeNotification.extend({ type: z.string().min(1).max(64) })

const ACCOUNTS_BATCH_SIZE = 500

const shownApp = ({ projectId, domain, name, description, url, types, listed, ...rest }: AppRecord) => {
  const { subscribeKey, authenticationKey, icons, links = false } = rest
  const said = { projectId, domain, name, description, url, icons, types, listed, links }
  return { ...said, subscribeKey, authenticationKey }
}

const domainOf = (c: Context): string => {
  const named = Domain.safeParse(c.req.param('domain'))
  if (!named.success) throw new ProtocolError('unknown_app')
  return named.data
}

/** What every new subscriber gets. */
const mountWelcome = (app: Hono, room: () => Pick<AdminAppsDeps, 'apps'>): void => {
  const found = async (domain: string): Promise<AppRecord> => {
    const known = await room().apps.byDomain(domain)
    if (!known) throw new ProtocolError('unknown_app', domain)
    return known.record
  }

  app.get('/admin/apps/:domain/welcome', async (c) =>
    c.json({ welcome: (await found(domainOf(c))).welcome ?? null }),
  )

  app.put('/admin/apps/:domain/welcome', jsonBody(Welcome), async (c) => {
    const { types, domain } = await found(domainOf(c))
    const { appDomain: _, ...said } = c.req.valid('json')
    const type = types.find(({ id }) => id === said.type) ?? types.find(({ name }) => name === said.type)
    if (!type) throw new ProtocolError('bad_params', 'type: the app does not declare it', { field: 'type' })
    const { record } = await room().apps.describe(domain, { welcome: { ...said, type: type.id } })
    return c.json({ welcome: record.welcome ?? null })
  })
}

/** One app. */
const mountApp = (app: Hono, room: () => AdminAppsDeps): void => {
  const whole = async (record: AppRecord) => ({
    ...shownApp(record),
    createdAt: new Date(record.createdAt).toISOString(),
    subscribers: await room().subscriberCount(record.domain),
  })

  app.get('/admin/apps/:domain', async (c) => {
    const domain = domainOf(c)
    const found = await room().apps.byDomain(domain)
    if (!found) throw new ProtocolError('unknown_app', domain)
    return c.json(await whole(found.record))
  })

  app.put('/admin/apps/:domain', jsonBody(AppDeclaration), async (c) => {
    const { record } = await room().apps.describe(domainOf(c), c.req.valid('json'))
    return c.json(await whole(record))
  })

  app.delete('/admin/apps/:domain', async (c) => c.json(await room().removeApp(domainOf(c))))

  app.get('/admin/apps/:domain/subscribers', async (c) => {
    const wanted = page(c)
    const domain = domainOf(c)
    const { apps, publishing } = room()
    const found = await apps.byDomain(domain)
    if (!found) throw new ProtocolError('unknown_app', domain)
    const { subscribers, next = null } = await publishing.subscriberPage(domain, wanted)
    const nameOf = (type: string) => found.record.types.find(({ id }) => id === type)?.name ?? type
    return c.json({
      subscribers: subscribers.map(({ account, scope, createdAt, expiresAt }) => ({
        account,
        types: scope.map(nameOf),
        createdAt: new Date(createdAt).toISOString(),
        expiresAt: new Date(expiresAt).toISOString(),
      })),
      next,
    })
  })
}

/** `room` throws where this process has no notify room. */
export const adminApps = (room: () => AdminAppsDeps): Hono => {
  const app = new Hono()

  app.post('/admin/apps', jsonBody(EnrolApp), async (c) => {
    const { project, domain, ...declaration } = c.req.valid('json')
    const { apps, projects } = room()
    // The domain may be known already: then its project need not be named.
    const holder = project ?? (await apps.byDomain(domain))?.record.projectId ?? projects.defaultId
    const secret = await projects.ensure(holder)
    const { record } = await apps.enrol({ ...declaration, projectId: holder, domain })
    const { subscribeKey, authenticationKey, types, projectId } = record
    const added: AddedApp = {
      projectId,
      secret,
      domain,
      subscribeKey,
      authenticationKey,
      types: types.map(({ id, name }) => ({ id, name })),
    }
    return c.json(added)
  })

  app.get('/admin/apps', async (c) => {
    const { limit, ...start } = page(c)
    const apps = await room().apps.list({ limit, ...start })
    return c.json({
      apps: apps.map(shownApp),
      next: apps.length < limit ? null : (apps.at(-1)?.domain ?? null),
    })
  })

  mountApp(app, room)
  mountWelcome(app, room)

  app.post('/admin/notify', jsonBody(Notify), async (c) => {
    const { domain, accounts, notificationId, notification, deliverAt } = c.req.valid('json')
    const { apps, publishing } = room()
    const found = await apps.byDomain(domain)
    if (!found) throw new ProtocolError('unknown_app', domain)
    const { projectId } = found.record
    const answer: Omit<NotifyOutcome, 'notifications'> = { sent: [], failed: [], not_found: [] }
    // One id for all parts, so that it is one notification; ours when the caller has none.
    const id = notificationId ?? globalThis.crypto.randomUUID()
    for (let at = 0; at < accounts.length; at += ACCOUNTS_BATCH_SIZE) {
      const part = accounts.slice(at, at + ACCOUNTS_BATCH_SIZE)
      const message = checked(NotifyV0, {
        notification,
        accounts: part,
        notification_id: id,
        deliver_at: deliverAt,
      })
      const outcome = await publishing.notify(projectId, [{ ...message, domain }])
      answer.sent.push(...outcome.sent)
      answer.failed.push(...outcome.failed)
      answer.not_found.push(...outcome.not_found)
      if (outcome.scheduled) answer.scheduled = [...(answer.scheduled ?? []), ...outcome.scheduled]
    }
    return c.json({ ...answer, notificationId: id })
  })

  return app
}
