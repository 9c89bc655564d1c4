/**
 * Push, for the operator. Times are ISO 8601, or null.
 *
 * | method, path                                  | body                    | answer        |
 * |-----------------------------------------------|-------------------------|---------------|
 * | GET    /admin/push                            |                         | `{projects}`  |
 * | PUT    /admin/push/projects/:id                        | `{open?, credentials?}` | `{projects}`  |
 * | PUT    /admin/push/projects/:id/credentials            | `{provider, apns or fcm}` | `{projects}` |
 * | DELETE /admin/push/projects/:id/credentials/:provider  |                         | `{projects}`  |
 * | POST   /admin/push/test                       | `{client}`              | `{pushes}`    |
 * | POST   /admin/push/check                      |                         | `{checks}`    |
 */
import { Hono } from 'hono'
import * as z from 'zod'
import { jsonBody } from '../../platform/net/http.ts'
import { checked } from '../../platform/validate.ts'
import type { PushOperator } from '../../push/operator.ts'
import { Credentials, type Projects } from '../../push/projects.ts'
import { ClientId, ProjectId } from '../../push/schema.ts'

const Id = z.object({ id: ProjectId })
export const Settings = z.strictObject({
  open: z.boolean().optional(),
  credentials: z.array(Credentials).max(2).optional(),
})
const WithProvider = Id.extend({ provider: z.enum(['apns', 'fcm']) })
export const Tried = z.strictObject({ client: ClientId })

export const adminPush = (push: () => { operator: PushOperator; projects: Projects }): Hono => {
  const app = new Hono()
  const shown = async (id?: string) => {
    const all = await push().operator.status()
    const projects = all
      .filter((one) => id === undefined || one.id === id)
      .map(({ id, isOpen: open, devices, providers }) => ({
        ...{ id, open, devices },
        providers: providers.map(({ since, ...one }) => ({
          ...one,
          since: since === null ? null : new Date(since).toISOString(),
        })),
      }))
    return { projects }
  }

  app.get('/admin/push', async (c) => c.json(await shown()))
  app.post('/admin/push/test', jsonBody(Tried), async (c) =>
    c.json({ pushes: await push().operator.test(c.req.valid('json').client) }),
  )
  app.post('/admin/push/check', async (c) => c.json({ checks: await push().operator.check() }))
  app.put('/admin/push/projects/:id', jsonBody(Settings), async (c) => {
    const { id } = checked(Id, c.req.param())
    const { open: isOpen, credentials = [] } = c.req.valid('json')
    await push().projects.set(id, { isOpen, credentials })
    return c.json(await shown(id))
  })
  app.put('/admin/push/projects/:id/credentials', jsonBody(Credentials), async (c) => {
    const { id } = checked(Id, c.req.param())
    await push().projects.set(id, { credentials: [c.req.valid('json')] })
    return c.json(await shown(id))
  })
  app.delete('/admin/push/projects/:id/credentials/:provider', async (c) => {
    const { id, provider } = checked(WithProvider, c.req.param())
    await push().projects.removeCredentials(id, provider)
    return c.json(await shown(id))
  })
  return app
}
