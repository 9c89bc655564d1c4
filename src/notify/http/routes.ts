/**
 * The HTTP way into notify: for dapps (with the project secret), for wallets' look-ups (open to all), for people who
 * follow a link. Parses, calls, translates. Paths and shapes are as published; our additions are marked +.
 *
 * | method, path                              | secret | answer                                          |
 * |-------------------------------------------|--------|-------------------------------------------------|
 * | POST /:projectId/subscribe-topic          | yes    | keys of the app, enrolled when new              |
 * | POST /:projectId/notify, /v1/…            | yes    | `{sent, failed, not_found}`                     |
 * | GET  /:projectId/subscribers              | yes    | `[account…]`                                    |
 * | GET  /v1/:projectId/subscribers           | yes    | + subscribers with types and times, a page      |
 * | POST /v1/:projectId/subscribers           | yes    | `{account: {notification_types}}`               |
 * | POST /v1/:projectId/mark-all-as-read      | yes    | 204                                             |
 * | GET  /v1/:projectId/apps                  | yes    | + the project's apps, a page                    |
 * | GET, PUT /v1/:projectId/apps/:domain      | yes    | + an app; declares it                           |
 * | …    /v1/:projectId/notifications…, broadcasts…, settings | yes | + see `notifications`, `broadcasts`, `settings` |
 * | GET  /v1/notification/:id                 | no     | 307 to the notification's url                   |
 * | GET  /.well-known/did.json                | no     | the server's keys, or those of the host's app   |
 * | GET  /apps/:domain/did.json               | no     | + an app's keys, to be copied or proxied        |
 * | GET  /w3i/v1/notify-config, /w3i/v1/projects | no  | what apps say about themselves                  |
 *
 * `dapps` has the first part of this table, `look-ups` the second. Other resources have a file each.
 *
 * Everything may be asked from a web page of any origin: secrets travel in a header that only their owner can set.
 */
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import { HOUSE, type Payer } from '../../platform/budgets/payer.ts'
import { httpErrors, noSuchPath, wrongMethods } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import type { KeyRing } from '../apps/key-ring.ts'
import { type LimitName, type Limits, UNLIMITED } from '../apps/limits.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import type { Notifications } from '../publish/notifications.ts'
import type { Publishing } from '../publish/service.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { broadcastRoutes } from './broadcasts.ts'
import { mountDapps } from './dapps.ts'
import { mountLinks } from './links.ts'
import { mountLookUps } from './look-ups.ts'
import { notificationRoutes } from './notifications.ts'
import { settingsRoutes } from './settings.ts'
import { mountWebhooks } from './webhooks.ts'
import { mountWelcome } from './welcome.ts'

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

const CORS_MAX_AGE_S = 86_400

/** Paths without a file of their own that web pages of any origin may ask. */
const OPEN_PATHS = [
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
]

/** The token of `Authorization: Bearer …`. */
const bearer = (c: Context): string => {
  const token = /^Bearer +([\x21-\x7e]{1,256})$/i.exec(c.req.header('authorization') ?? '')?.[1]
  if (token === undefined)
    throw new ProtocolError('unauthenticated', 'Authorization: Bearer <project secret>')
  return token
}

/** Before anything else of the request is read. */
const secretOf =
  (apps: Pick<Apps, 'authenticate'>): MiddlewareHandler =>
  async (c, next) => {
    await apps.authenticate(c.req.param('projectId') ?? '', bearer(c))
    await next()
  }

/** After the secret, before the body is read. */
const limitedBy =
  (apps: Pick<Apps, 'projects'>, limits: Limits) =>
  (name: LimitName): MiddlewareHandler =>
  async (c, next) => {
    const projectId = c.req.param('projectId') ?? ''
    await limits.take(name, projectId, (await apps.projects.settings(projectId)).limits)
    await next()
  }

export const notifyRoutes = (deps: NotifyRoutesDeps, options: { publicUrl: string }): Hono => {
  const { apps, publishing, sent, webhooks, serverKeys, log } = deps
  const { limits = UNLIMITED, payerFor = () => HOUSE } = deps

  const app = new Hono()
  app.onError(httpErrors(log))
  app.notFound(noSuchPath)
  app.use(wrongMethods(app))

  const exposeHeaders = ['Retry-After', 'Notification-Ids']
  const open = cors({ origin: '*', maxAge: CORS_MAX_AGE_S, exposeHeaders })
  for (const path of OPEN_PATHS) app.use(path, open)

  const secret = secretOf(apps)
  const limited = limitedBy(apps, limits)
  const takeOfDay = async (projectId: string, count: number): Promise<void> => {
    const { notificationsPerDay } = (await apps.projects.settings(projectId)).quotas ?? {}
    if (notificationsPerDay !== undefined) await limits.takeOfDay(projectId, notificationsPerDay, count)
  }

  mountDapps(app, { apps, publishing, secret, limited, takeOfDay })
  mountWebhooks(app, { webhooks, open, secret })
  mountWelcome(app, { apps, open, secret })
  mountLinks(app, { publishing, open, secret })
  app.route('/', notificationRoutes(sent, secret))
  app.route('/', broadcastRoutes({ publishing, sent, takeOfDay }, { secret, limited: limited('notify') }))
  app.route('/', settingsRoutes(apps.projects, secret))
  mountLookUps(app, { apps, publishing, serverKeys, limits, payerFor }, options)
  return app
}
