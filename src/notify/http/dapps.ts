/** What dapps ask with their project's secret: enrol apps, publish, list subscribers. The table is in `routes`. */
import type { Context, Hono, MiddlewareHandler } from 'hono'
import { jsonBody } from '../../platform/net/http.ts'
import { checked } from '../../platform/validate.ts'
import { fromUtf8, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import type { LimitName } from '../apps/limits.ts'
import type { NotifyMessage, Publishing } from '../publish/service.ts'
import type { AppSubscriber } from '../publish/subscribers.ts'
import type { AppRecord } from '../store/store.ts'
import {
  AppDeclaration,
  AppsPage,
  Domain,
  ForApp,
  SubscribersPage,
  SubscribersV1,
  SubscribeTopic,
} from './schema.ts'
import { NotifyV0, NotifyV1 } from './schema-notifications.ts'

export interface DappRoutesDeps {
  apps: Pick<Apps, 'byDomain' | 'enrol' | 'list'>
  publishing: Publishing
  secret: MiddlewareHandler
  limited: (name: LimitName) => MiddlewareHandler
  /** Counts against the project's quota of the day. */
  takeOfDay: (projectId: string, count: number) => Promise<void>
}

const shown = (record: AppRecord) => {
  const { projectId, domain, name, description, url, icons, types, listed, links = false } = record
  const { authenticationKey, subscribeKey } = record
  return {
    ...{ projectId, domain, name, description, url, icons, types, listed, links },
    ...{ authenticationKey, subscribeKey },
  }
}

const mountNotify = (
  app: Hono,
  { publishing, secret, limited, takeOfDay }: Omit<DappRoutesDeps, 'apps'>,
): void => {
  const notify = async (c: Context, projectId: string, messages: readonly NotifyMessage[]) => {
    await takeOfDay(projectId, messages.length)
    const { notifications, ...outcome } = await publishing.notify(projectId, messages)
    // The body stays the published one, because clients compare it; the header has the ids for later questions.
    c.header(
      'Notification-Ids',
      // Half of a surrogate pair cannot stand in a header.
      notifications.map(({ notification_id: id }) => encodeURIComponent(fromUtf8(utf8(id)))).join(','),
    )
    const usesOurs = messages.some(({ deliverAt, ttl, collapseKey }) => deliverAt ?? ttl ?? collapseKey)
    return c.json(usesOurs ? { ...outcome, notifications } : outcome)
  }

  app.post('/:projectId/notify', secret, limited('notify'), jsonBody(NotifyV0), (c) =>
    notify(c, c.req.param('projectId'), [c.req.valid('json')]),
  )
  app.post('/v1/:projectId/notify', secret, limited('notify'), jsonBody(NotifyV1), (c) =>
    notify(c, c.req.param('projectId'), c.req.valid('json')),
  )
}

const shownSubscriber = ({ account, domain, scope, createdAt, expiresAt }: AppSubscriber) => ({
  ...{ account, app_domain: domain, notification_types: scope },
  subscribed_at: new Date(createdAt).toISOString(),
  expires_at: new Date(expiresAt).toISOString(),
})

const mountSubscribers = (
  app: Hono,
  { publishing, secret, limited }: Omit<DappRoutesDeps, 'apps' | 'takeOfDay'>,
): void => {
  app.get('/:projectId/subscribers', secret, limited('subscribersV0'), async (c) => {
    const { appDomain } = checked(ForApp, c.req.query())
    return c.json(await publishing.subscribers(c.req.param('projectId'), appDomain))
  })

  app.get('/v1/:projectId/subscribers', secret, limited('subscribersV1'), async (c) => {
    const { appDomain, after, limit } = checked(SubscribersPage, c.req.query())
    const page = { limit, ...(after !== undefined && { after }) }
    const { subscribers, next = null } = await publishing.projectSubscriberPage(
      c.req.param('projectId'),
      appDomain,
      page,
    )
    return c.json({ subscribers: subscribers.map(shownSubscriber), next })
  })

  app.post(
    '/v1/:projectId/subscribers',
    secret,
    limited('subscribersV1'),
    jsonBody(SubscribersV1),
    async (c) => {
      const { accounts, appDomain } = c.req.valid('json')
      const scopes = await publishing.scopesOf(c.req.param('projectId'), accounts, appDomain)
      return c.json(
        Object.fromEntries([...scopes].map(([account, scope]) => [account, { notification_types: scope }])),
      )
    },
  )

  app.post('/v1/:projectId/mark-all-as-read', secret, async (c) => {
    await publishing.markAllAsRead(c.req.param('projectId'))
    return c.body(null, 204)
  })
}

const mountApps = (app: Hono, { apps, secret }: Pick<DappRoutesDeps, 'apps' | 'secret'>): void => {
  app.get('/v1/:projectId/apps', secret, async (c) => {
    const { after, limit } = checked(AppsPage, c.req.query())
    const page = await apps.list({
      projectId: c.req.param('projectId'),
      limit,
      ...(after !== undefined && { after }),
    })
    return c.json({ apps: page.map(shown), next: page.length < limit ? null : (page.at(-1)?.domain ?? null) })
  })

  /** An app of this project; another project's app is as unknown as none. */
  const ownApp = async (c: Context, projectId: string): Promise<AppRecord> => {
    const domain = Domain.safeParse(c.req.param('domain'))
    const found = domain.success ? await apps.byDomain(domain.data) : undefined
    if (found?.record.projectId !== projectId) throw new ProtocolError('unknown_app')
    return found.record
  }

  app.get('/v1/:projectId/apps/:domain', secret, async (c) =>
    c.json(shown(await ownApp(c, c.req.param('projectId')))),
  )

  app.put('/v1/:projectId/apps/:domain', secret, jsonBody(AppDeclaration), async (c) => {
    const { projectId, domain } = c.req.param()
    const { record } = await apps.enrol({ ...c.req.valid('json'), projectId, domain })
    return c.json(shown(record))
  })
}

export const mountDapps = (app: Hono, deps: DappRoutesDeps): void => {
  const { apps, secret, limited } = deps
  app.post(
    '/:projectId/subscribe-topic',
    secret,
    limited('subscribeTopic'),
    jsonBody(SubscribeTopic),
    async (c) => {
      const projectId = c.req.param('projectId')
      const { record } = await apps.enrol({ projectId, domain: c.req.valid('json').appDomain })
      return c.json({ authenticationKey: record.authenticationKey, subscribeKey: record.subscribeKey })
    },
  )
  mountNotify(app, deps)
  mountSubscribers(app, deps)
  mountApps(app, deps)
}
