/** The settings that a project may change itself: `GET, PUT /v1/:projectId/settings`, with its secret. */
import { Hono, type MiddlewareHandler } from 'hono'
import { jsonBody } from '../../platform/net/http.ts'
import { DAY_MS } from '../../platform/units.ts'
import type { ProjectRegistry } from '../apps/projects.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import type { Project } from '../store/store.ts'
import { Settings } from './schema-notifications.ts'

/** As long as a relay keeps a message. */
const DEFAULT_RETENTION_DAYS = NOTIFICATION_TTL_MS / DAY_MS

const shown = ({ settings = {} }: Project) => ({
  retention_days: settings.retentionDays ?? DEFAULT_RETENTION_DAYS,
})

export const settingsRoutes = (
  projects: Pick<ProjectRegistry, 'project' | 'set'>,
  secret: MiddlewareHandler,
): Hono => {
  const app = new Hono()
  app.get('/v1/:projectId/settings', secret, async (c) =>
    c.json(shown(await projects.project(c.req.param('projectId')))),
  )
  app.put('/v1/:projectId/settings', secret, jsonBody(Settings), async (c) => {
    const projectId = c.req.param('projectId')
    // Only the operator may change the others.
    const { settings } = await projects.project(projectId)
    const { retention_days: retentionDays } = c.req.valid('json')
    return c.json(shown(await projects.set(projectId, { ...settings, retentionDays })))
  })
  return app
}
