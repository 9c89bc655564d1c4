/**
 * The welcome notification over HTTP. As published it belongs to the project; here it belongs to an app of it, which may
 * be named with `appDomain`.
 *
 * | method, path                                | answer                                                         |
 * |---------------------------------------------|----------------------------------------------------------------|
 * | GET  /v0/:projectId/welcome-notification    | `null` or `{enabled, type, title, body, url}`                  |
 * | POST /v0/:projectId/welcome-notification    | 204                                                            |
 */
import type { Hono, MiddlewareHandler } from 'hono'
import * as z from 'zod'
import { jsonBody } from '../../platform/net/http.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import { appsOf } from '../publish/resolve-app.ts'
import type { AppRecord } from '../store/store.ts'
import { Domain, ForApp } from './schema.ts'
import { NotificationText } from './schema-notifications.ts'

const PATH = '/v0/:projectId/welcome-notification'

export const WelcomeNotification = z
  .object({
    enabled: z.boolean(),
    ...NotificationText,
    appDomain: Domain.optional(),
  })
  .meta({ id: 'WelcomeNotification' })

export const WelcomeAnswer = z
  .object({
    enabled: z.boolean(),
    type: z.string(),
    title: z.string(),
    body: z.string(),
    url: z.string().nullable(),
  })
  .nullable()

export const mountWelcome = (
  app: Hono,
  deps: { apps: Pick<Apps, 'list' | 'describe'>; open: MiddlewareHandler; secret: MiddlewareHandler },
): void => {
  const { apps, open, secret } = deps

  /** The named app, or all of the project, the oldest first. Throws `unknown_app` when there is none. */
  const candidatesOf = async (projectId: string, domain: string | undefined): Promise<AppRecord[]> => {
    const found = await appsOf(apps, projectId, domain)
    if (found.length > 0) return found
    throw new ProtocolError('unknown_app', 'the project has none yet', { field: 'appDomain' })
  }

  app.use(PATH, open)

  app.get(PATH, secret, async (c) => {
    const { appDomain } = checked(ForApp, c.req.query())
    const found = await candidatesOf(c.req.param('projectId'), appDomain)
    return c.json(found.find(({ welcome }) => welcome)?.welcome ?? null)
  })

  app.post(PATH, secret, jsonBody(WelcomeNotification), async (c) => {
    const { appDomain, ...welcome } = c.req.valid('json')
    const candidates = await candidatesOf(c.req.param('projectId'), appDomain)
    // As with notifications: the app is the one that has the type.
    const chosen = candidates.find(({ types }) => types.some(({ id }) => id === welcome.type))
    if (!chosen) {
      throw new ProtocolError('bad_params', 'type: the app does not declare it', { field: 'type' })
    }
    await apps.describe(chosen.domain, { welcome })
    return c.body(null, 204)
  })
}
