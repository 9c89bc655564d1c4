/**
 * Projects, their secrets and what they are granted, for the operator. Times are ISO 8601, or null.
 *
 * | method, path                                | body                                    | answer                 |
 * |---------------------------------------------|-----------------------------------------|------------------------|
 * | GET    /admin/projects                      | `after?`, `limit?` (query)              | `{projects, next}`     |
 * | POST   /admin/projects                      | `{id?, name?}`                          | the project, `secret`  |
 * | GET    /admin/projects/:id                  |                                         | the project            |
 * | PUT    /admin/projects/:id/settings         | `{limits?, quotas?, retentionDays?}`    | the project            |
 * | POST   /admin/projects/:id/secrets          | `{name, lifeSeconds?}`                  | `{secretId, secret}`   |
 * | POST   /admin/projects/:id/rotate-secret    | `{secretId?, overlapSeconds}`           | `{secretId, secret}`   |
 * | DELETE /admin/projects/:id/secrets/:secretId |                                        | the project            |
 * | GET    /admin/projects/:id/webhooks         |                                         | `{webhooks}`           |
 * | POST   /admin/projects/:id/webhooks         | `{url, events}`                         | `{id, secret}`         |
 * | DELETE /admin/projects/:id/webhooks/:webhook |                                        | `{id}`                 |
 * | GET    …/webhooks/:webhook/dead-letters     | `after?`, `limit?` (query)              | `{deadLetters, next}`  |
 * | POST   …/webhooks/:webhook/dead-letters/replay |                                      | `{replayed}`           |
 * | POST   …/webhooks/:webhook/dead-letters/:event/replay |                               | `{replayed}`           |
 */
import { Hono } from 'hono'
import * as z from 'zod'
import type { NewSecret, ProjectRegistry } from '../../notify/apps/projects.ts'
import { WebhookRegistration } from '../../notify/http/webhooks.ts'
import type { Project, ProjectSettings } from '../../notify/store/store.ts'
import type { Webhooks } from '../../notify/webhooks/service.ts'
import { jsonBody } from '../../platform/net/http.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { LimitsByName } from '../config/settings/rate-limits.ts'
import type { Projects } from './default-project.ts'
import { page } from './page.ts'

const whole = (least: number, most: number) => z.number().int().min(least).max(most)
const YEAR_S = 31_536_000

const Name = z.string().min(1).max(64)
export const NewProject = z.object({ id: z.string().optional(), name: z.string().max(128).optional() })
export const AddSecret = z.object({ name: Name, lifeSeconds: whole(1, 10 * YEAR_S).optional() })
export const RotateSecret = z.object({ secretId: z.string().optional(), overlapSeconds: whole(0, YEAR_S) })
const Quotas = z.strictObject({
  apps: whole(0, 1_000_000),
  subscribersPerApp: whole(0, 1_000_000_000),
  notificationsPerDay: whole(1, 1_000_000_000),
})
export const Settings = z
  .strictObject({
    limits: LimitsByName.optional(),
    quotas: Quotas.partial().optional(),
    retentionDays: whole(1, 3650).optional(),
  })
  // Without what is undefined: it is kept as JSON, and compared as such.
  .transform((settings): ProjectSettings => JSON.parse(JSON.stringify(settings)))

const time = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString())

/** A query may hold what its owner alone knows. */
const withoutQuery = (url: string): string => url.split('?')[0] ?? ''

export interface AdminProjectsDeps {
  desk: ProjectRegistry
  projects: Projects
  webhooks: Pick<Webhooks, 'list' | 'register' | 'remove' | 'deadLetters' | 'replay' | 'replayAll'>
}

const mountWebhooks = (app: Hono, room: () => AdminProjectsDeps): void => {
  /** Throws `not_found` before a store is asked for what can be no project's. */
  const checkProject = (id: string) => room().desk.project(id)

  app.get('/admin/projects/:id/webhooks', async (c) => {
    const { desk, webhooks } = room()
    const { id: projectId } = await desk.project(c.req.param('id'))
    const found = await Promise.all(
      (await webhooks.list(projectId)).map(async ({ id, url, events, state, reason, createdAt }) => {
        const [letter] = await webhooks.deadLetters(projectId, id, { limit: 1 })
        const shownUrl = withoutQuery(url)
        return {
          ...{ id, url: shownUrl, events, state, reason, createdAt: time(createdAt) },
          hasDeadLetters: letter !== undefined,
        }
      }),
    )
    return c.json({ webhooks: found })
  })

  app.post('/admin/projects/:id/webhooks', jsonBody(WebhookRegistration), async (c) => {
    const { desk, webhooks } = room()
    const { id: projectId } = await desk.project(c.req.param('id'))
    return c.json(await webhooks.register(projectId, c.req.valid('json')))
  })
  app.delete('/admin/projects/:id/webhooks/:webhook', async (c) => {
    const { id, webhook } = c.req.param()
    await checkProject(id)
    await room().webhooks.remove(id, webhook)
    return c.json({ id: webhook })
  })

  const letters = '/admin/projects/:id/webhooks/:webhook/dead-letters'
  app.get(letters, async (c) => {
    const { limit, after } = page(c)
    const { id, webhook } = c.req.param()
    await checkProject(id)
    const found = await room().webhooks.deadLetters(id, webhook, { after, limit })
    const deadLetters = found.map(({ id: eventId, attempts, failure, event }) => ({
      ...{ id: eventId, attempts, failure, type: event.type, at: event.timestamp },
    }))
    return c.json({ deadLetters, next: found.length < limit ? null : (found.at(-1)?.id ?? null) })
  })
  app.post(`${letters}/replay`, async (c) => {
    const { id, webhook } = c.req.param()
    await checkProject(id)
    return c.json({ replayed: await room().webhooks.replayAll(id, webhook) })
  })
  app.post(`${letters}/:event/replay`, async (c) => {
    const { id, webhook, event } = c.req.param()
    await checkProject(id)
    await room().webhooks.replay(id, webhook, event)
    return c.json({ replayed: 1 })
  })
}

export const adminProjects = (room: () => AdminProjectsDeps): Hono => {
  const app = new Hono()
  mountWebhooks(app, room)

  const shown = (project: Project) => {
    const { id, name, createdAt, settings = {} } = project
    const secrets = room()
      .desk.secretsOf(project)
      .map((secret) => ({
        id: secret.id,
        name: secret.name,
        createdAt: time(secret.createdAt),
        lastUsedAt: time(secret.lastUsedAt),
        expiresAt: time(secret.expiresAt),
      }))
    return { id, name, createdAt: time(createdAt), secrets, settings }
  }
  const shownSecret = ({ secret, record }: NewSecret) => ({
    secretId: record.id,
    name: record.name,
    secret,
    expiresAt: time(record.expiresAt),
  })

  app.get('/admin/projects', async (c) => {
    const wanted = page(c)
    const found = await room().desk.list(wanted)
    const next = found.length < wanted.limit ? null : (found.at(-1)?.id ?? null)
    return c.json({ projects: found.map(shown), next })
  })

  app.post('/admin/projects', jsonBody(NewProject), async (c) => {
    const { desk, projects } = room()
    const { id = globalThis.crypto.randomUUID().replaceAll('-', ''), name } = c.req.valid('json')
    if (!(await projects.create(id, name))) throw new ProtocolError('conflict', `project ${id}`)
    const secret = await projects.ensure(id)
    return c.json({ ...shown(await desk.project(id)), secret })
  })

  app.get('/admin/projects/:id', async (c) => c.json(shown(await room().desk.project(c.req.param('id')))))

  app.put('/admin/projects/:id/settings', jsonBody(Settings), async (c) =>
    c.json(shown(await room().desk.set(c.req.param('id'), c.req.valid('json')))),
  )

  app.post('/admin/projects/:id/secrets', jsonBody(AddSecret), async (c) => {
    const { name, lifeSeconds } = c.req.valid('json')
    const added = await room().desk.addSecret(c.req.param('id'), name, lifeSeconds)
    return c.json(shownSecret(added))
  })

  app.post('/admin/projects/:id/rotate-secret', jsonBody(RotateSecret), async (c) => {
    const { secretId, overlapSeconds } = c.req.valid('json')
    return c.json(shownSecret(await room().desk.rotateSecret(c.req.param('id'), secretId, overlapSeconds)))
  })

  app.delete('/admin/projects/:id/secrets/:secretId', async (c) => {
    const { desk } = room()
    await desk.revokeSecret(c.req.param('id'), c.req.param('secretId'))
    return c.json(shown(await desk.project(c.req.param('id'))))
  })

  return app
}
