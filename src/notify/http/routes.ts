/**
 * The HTTP way into notify: for dapps (with the project secret), for wallets' look-ups (open to all), for people who
 * follow a link. Parses, calls, translates; paths and shapes as published, our additions marked +.
 *
 * | method, path                              | secret | answer                                          |
 * |-------------------------------------------|--------|-------------------------------------------------|
 * | POST /:projectId/subscribe-topic          | yes    | keys of the app, enrolled when new              |
 * | POST /:projectId/notify, /v1/…            | yes    | `{sent, failed, not_found}`                     |
 * | GET  /:projectId/subscribers              | yes    | `[account…]`                                    |
 * | POST /v1/:projectId/subscribers           | yes    | `{account: {notification_types}}`               |
 * | POST /v1/:projectId/mark-all-as-read      | yes    | 204                                             |
 * | GET  /v1/:projectId/apps                  | yes    | + the project's apps, a page                    |
 * | GET, PUT /v1/:projectId/apps/:domain      | yes    | + an app; declares it                           |
 * | …    /v1/:projectId/notifications…, broadcasts…, settings | yes | + see `notifications`, `broadcasts`, `settings` |
 * | GET  /v1/notification/:id                 | no     | 307 to the notification's url                   |
 * | GET  /.well-known/did.json                | no     | the server's keys, or those of the host's app   |
 * | GET  /apps/:domain/did.json               | no     | + an app's keys, to be copied or proxied        |
 * | GET  /w3i/v1/notify-config, /w3i/v1/projects | no  | what apps say about themselves                  |
 * | GET  /openapi.json                        | no     | + this table for machines                       |
 *
 * Webhooks, the welcome notification and clicks on links have files of their own: `webhooks` and so on.
 *
 * Everything may be asked from a web page of any origin: secrets travel in a header that only their owner can set.
 */
import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context, MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import { HOUSE, type Payer } from '../../platform/budgets/payer.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import { httpErrors, jsonBody, noSuchPath, wrongMethods } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { fromUtf8, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import { didDocument } from '../apps/did-document.ts'
import type { KeyRing } from '../apps/key-ring.ts'
import { type LimitName, type Limits, UNLIMITED } from '../apps/limits.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import type { Notifications } from '../publish/notifications.ts'
import type { NotifyMessage, Publishing } from '../publish/service.ts'
import type { AppRecord } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { broadcastRoutes } from './broadcasts.ts'
import { LINK_ROUTES, mountLinks } from './links.ts'
import { notificationRoutes } from './notifications.ts'
import { describeRoutes } from './openapi.ts'
import {
  AppDeclaration,
  AppsPage,
  Domain,
  ForApp,
  NotifyConfigQuery,
  NotifyV0,
  NotifyV1,
  ProjectsQuery,
  SubscribersV1,
  SubscribeTopic,
} from './schema.ts'
import { settingsRoutes } from './settings.ts'
import { mountWebhooks, WEBHOOK_ROUTES } from './webhooks.ts'
import { mountWelcome, WELCOME_ROUTES } from './welcome.ts'

export interface NotifyRoutesDeps {
  apps: Apps
  publishing: Publishing
  webhooks: Webhooks
  sent: Notifications
  /** The notify server's own keys, as they are at the time. */
  serverKeys: KeyRing & Pick<ServerKeys, 'refresh'>
  log: Log
  limits?: Limits
  payerFor?: (c: Context) => Payer
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** The token of `Authorization: Bearer …`. */
const bearer = (c: Context): string => {
  const token = /^Bearer +([\x21-\x7e]{1,256})$/i.exec(c.req.header('authorization') ?? '')?.[1]
  if (token === undefined)
    throw new ProtocolError('unauthenticated', 'Authorization: Bearer <project secret>')
  return token
}

const shown = (record: AppRecord) => {
  const { projectId, domain, name, description, url, icons, types, listed, links = false } = record
  const { authenticationKey, subscribeKey } = record
  return {
    ...{ projectId, domain, name, description, url, icons, types, listed, links },
    ...{ authenticationKey, subscribeKey },
  }
}

/** How wallets' app lists name an app; an app that declared nothing still has its domain. */
const listing = ({ domain, name, description, url, icons }: AppRecord) => {
  const page = url || `https://${domain}`
  return { id: domain, name: name || domain, homepage: page, description, dapp_url: page, image_url: icons }
}

export const notifyRoutes = (deps: NotifyRoutesDeps, options: { publicUrl: string }): OpenAPIHono => {
  const {
    apps,
    publishing,
    sent,
    webhooks,
    serverKeys,
    log,
    limits = UNLIMITED,
    payerFor = () => HOUSE,
  } = deps
  const publicHost = new URL(options.publicUrl).host

  const app = new OpenAPIHono()
  app.onError(httpErrors(log))
  app.notFound(noSuchPath)
  app.use(wrongMethods(app))
  describeRoutes(app.openAPIRegistry, [...WEBHOOK_ROUTES, ...WELCOME_ROUTES, ...LINK_ROUTES])

  const open = cors({ origin: '*', maxAge: 86_400, exposeHeaders: ['Retry-After', 'Notification-Ids'] })
  for (const path of [
    '/:projectId/subscribe-topic',
    '/:projectId/notify',
    '/:projectId/subscribers',
    '/v1/:projectId/notify',
    '/v1/:projectId/subscribers',
    '/v1/:projectId/mark-all-as-read',
    '/v1/:projectId/apps',
    '/v1/:projectId/apps/:domain',
    '/v1/:projectId/notifications/*',
    '/v1/:projectId/broadcasts/*',
    '/v1/:projectId/settings',
    '/.well-known/did.json',
    '/apps/:domain/did.json',
    '/w3i/v1/notify-config',
    '/w3i/v1/projects',
    '/openapi.json',
  ]) {
    app.use(path, open)
  }

  /** Before anything of the request is looked at. */
  const secret: MiddlewareHandler = async (c, next) => {
    await apps.authenticate(c.req.param('projectId') ?? '', bearer(c))
    await next()
  }

  /** After the secret, before the body is read. */
  const limited =
    (name: LimitName): MiddlewareHandler =>
    async (c, next) => {
      const projectId = c.req.param('projectId') ?? ''
      await limits.take(name, projectId, (await apps.projects.settings(projectId)).limits)
      await next()
    }

  // ── dapps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

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

  const takeOfDay = async (projectId: string, count: number): Promise<void> => {
    const { notificationsPerDay } = (await apps.projects.settings(projectId)).quotas ?? {}
    if (notificationsPerDay !== undefined) await limits.takeOfDay(projectId, notificationsPerDay, count)
  }

  const notify = async (c: Context, projectId: string, messages: readonly NotifyMessage[]) => {
    await takeOfDay(projectId, messages.length)
    const { notifications, ...outcome } = await publishing.notify(projectId, messages)
    // The published answer as it is, for who compares it; ids for who wants to ask about them later.
    c.header(
      'Notification-Ids',
      // What is no text of Unicode cannot stand in a header.
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

  app.get('/:projectId/subscribers', secret, limited('subscribersV0'), async (c) => {
    const { appDomain } = checked(ForApp, c.req.query())
    return c.json(await publishing.subscribers(c.req.param('projectId'), appDomain))
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

  app.get('/v1/:projectId/apps', secret, async (c) => {
    const { after, limit } = checked(AppsPage, c.req.query())
    const page = await apps.list({
      projectId: c.req.param('projectId'),
      limit,
      ...(after !== undefined && { after }),
    })
    return c.json({ apps: page.map(shown), next: page.length < limit ? null : (page.at(-1)?.domain ?? null) })
  })

  /** An app of this project; somebody else's is as good as none. */
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

  mountWebhooks(app, { webhooks, open, secret })
  mountWelcome(app, { apps, open, secret })
  mountLinks(app, { publishing, open, secret })
  app.route('/', notificationRoutes(sent, secret))
  app.route('/', broadcastRoutes({ publishing, sent, takeOfDay }, { secret, limited: limited('notify') }))
  app.route('/', settingsRoutes(apps.projects, secret))

  // ── wallets and people ────────────────────────────────────────────────────────────────────────────────────────────

  app.get('/v1/notification/:id', async (c) => {
    const id = c.req.param('id')
    // Not HEAD: whoever looks where it leads does not follow it.
    const isClick = c.req.method === 'GET'
    if (UUID.test(id)) await limits.take('link', id.toLowerCase())
    const link = UUID.test(id) ? await publishing.linkOf(id.toLowerCase(), { isClick }) : undefined
    if (link === undefined) throw new ProtocolError('not_found', 'the link leads nowhere, or no longer')
    // Whoever follows the link is not anybody's business, the site's least of all by way of a cache.
    c.header('Cache-Control', 'no-store')
    return c.redirect(link, 307)
  })

  const appDocument = async (domain: string | undefined) => {
    const named = Domain.safeParse(domain)
    const found = named.success ? await apps.byDomain(named.data) : undefined
    return found && didDocument(found.record.domain, found)
  }

  app.get('/.well-known/did.json', async (c) => {
    const host = (c.req.header('host') ?? new URL(c.req.url).host).toLowerCase()
    // Our own host first: an app may run on the same one, and wallets would lose the server's keys.
    const document = host === publicHost ? undefined : await appDocument(host)
    if (document) return c.json(document)
    // What another process has replaced a moment ago must not be cached by anybody.
    await serverKeys.refresh()
    return c.json(didDocument(publicHost, serverKeys))
  })

  app.get('/apps/:domain/did.json', async (c) => {
    const document = await appDocument(c.req.param('domain'))
    if (!document) throw new ProtocolError('unknown_app')
    return c.json(document)
  })

  app.get('/w3i/v1/notify-config', async (c) => {
    const { appDomain } = checked(NotifyConfigQuery, c.req.query())
    const found = await apps.byDomain(appDomain)
    if (!found) throw new ProtocolError('unknown_app', appDomain)
    const { types, icons } = found.record
    const notificationTypes = types.map((type) => ({ ...type, imageUrls: icons }))
    return c.json({ data: { ...listing(found.record), notificationTypes, isVerified: false } })
  })

  app.get('/w3i/v1/projects', async (c) => {
    const { entries, page } = checked(ProjectsQuery, c.req.query())
    const payer = payerFor(c)
    const listed: AppRecord[] = []
    for (let after: string | undefined; ; ) {
      await payer.work(WORK_COST.lookUp)
      const some = await apps.list({ limit: 500, ...(after !== undefined && { after }) })
      listed.push(...some.filter((record) => record.listed))
      after = some.at(-1)?.domain
      if (some.length < 500) break
    }
    const wanted = listed.slice((page - 1) * entries, page * entries)
    const projects = wanted.map((record) => [record.domain, { ...listing(record), is_verified: false }])
    return c.json({ projects: Object.fromEntries(projects), count: listed.length })
  })

  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'Belfry', version: '1', description: 'Notify: the HTTP API for dapps and wallets' },
    servers: [{ url: options.publicUrl }],
  })

  return app
}
