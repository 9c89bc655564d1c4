/** What a project may settle for itself: `GET, PUT /v1/:projectId/settings`, with its secret. */
import { Hono, type MiddlewareHandler } from 'hono'
import { jsonBody } from '../platform/http.ts'
import type { Apps } from './apps.ts'
import { TTL } from './handing.ts'
import { Settings } from './http-schema-sent.ts'
import type { Project } from './store.ts'

const DAY = 86_400_000

const shown = ({ retention = TTL }: Project) => ({ retention_days: retention / DAY })

export const settingsRoutes = (apps: Pick<Apps, 'describeProject'>, secret: MiddlewareHandler): Hono => {
  const app = new Hono()
  app.get('/v1/:projectId/settings', secret, async (c) =>
    c.json(shown(await apps.describeProject(c.req.param('projectId'), {}))),
  )
  app.put('/v1/:projectId/settings', secret, jsonBody(Settings), async (c) => {
    const { retention_days: retention } = c.req.valid('json')
    return c.json(shown(await apps.describeProject(c.req.param('projectId'), { retention })))
  })
  return app
}
