/**
 * Webhooks over HTTP, for the project's own servers. Paths and shapes as published, our additions marked +.
 *
 * | method, path                                                  | answer                                            |
 * |---------------------------------------------------------------|---------------------------------------------------|
 * | POST /:projectId/register-webhook                             | 201 `{id, secret+}`                               |
 * | GET  /:projectId/webhooks                                     | `{id: {url, events, state+, reason+ …}}`          |
 * | PUT  /:projectId/webhooks/:id                                 | 204; + 200 `{secret}` with `rotate_secret`        |
 * | DELETE /:projectId/webhooks/:id                               | 204                                               |
 * | GET  /v1/:projectId/webhooks/:id/dead-letters                 | + `{dead_letters, next}`                          |
 * | POST /v1/:projectId/webhooks/:id/dead-letters/replay          | + `{replayed}`: all of them                       |
 * | POST /v1/:projectId/webhooks/:id/dead-letters/:event/replay   | + 204                                             |
 */
import type { Hono, MiddlewareHandler } from 'hono'
import * as z from 'zod'
import { jsonBody } from '../../platform/net/http.ts'
import { checked } from '../../platform/validate.ts'
import { WEBHOOK_EVENTS, type Webhook } from '../store/webhooks.ts'
import type { Webhooks } from '../webhooks/service.ts'

const url = z.string().max(2048, { error: 'must be at most 2048 characters' })
const events = z
  .array(z.enum(WEBHOOK_EVENTS, { error: `must be one of ${WEBHOOK_EVENTS.join(', ')}` }))
  .min(1, { error: 'must name at least 1' })
  .max(64, { error: 'must be at most 64' })

export const WebhookRegistration = z.object({ url, events }).meta({ id: 'Webhook' })
export const Change = z
  .object({ url: url.optional(), events: events.optional(), rotate_secret: z.boolean().optional() })
  .meta({ id: 'WebhookChange' })
export const Registered = z.object({ id: z.string(), secret: z.string() })
export const Shown = z.object({
  url: z.string(),
  events: z.array(z.string()),
  state: z.enum(['pending', 'enabled', 'disabled']),
  reason: z.string().nullable(),
  created_at: z.string(),
})
export const DeadLettersPage = z.object({
  after: z.string().max(64).optional(),
  limit: z
    .string()
    .regex(/^[0-9]{1,3}$/, { error: 'must be a number from 1 to 100' })
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 100, { error: 'must be a number from 1 to 100' })
    .default(100),
})
const Event = z.object({ type: z.string(), timestamp: z.string(), data: z.record(z.string(), z.unknown()) })
export const DeadLettersAnswer = z.object({
  dead_letters: z.array(
    z.object({ id: z.string(), attempts: z.number(), failure: z.string(), event: Event }),
  ),
  next: z.string().nullable(),
})

/** Ids that nobody has name nothing; so long a path part is none. */
const Id = z.string().max(64)

const shown = ({ url, events, state, reason, createdAt }: Webhook): z.output<typeof Shown> => ({
  ...{ url, events, state },
  reason: reason === '' ? null : reason,
  created_at: new Date(createdAt).toISOString(),
})

export const mountWebhooks = (
  app: Hono,
  { webhooks, open, secret }: { webhooks: Webhooks; open: MiddlewareHandler; secret: MiddlewareHandler },
): void => {
  const letters = '/v1/:projectId/webhooks/:id/dead-letters'
  for (const path of [
    '/:projectId/register-webhook',
    '/:projectId/webhooks',
    '/:projectId/webhooks/:id',
    letters,
    `${letters}/replay`,
    `${letters}/:event/replay`,
  ]) {
    app.use(path, open)
  }

  app.post('/:projectId/register-webhook', secret, jsonBody(WebhookRegistration), async (c) =>
    c.json(await webhooks.register(c.req.param('projectId'), c.req.valid('json')), 201),
  )

  app.get('/:projectId/webhooks', secret, async (c) => {
    const all = await webhooks.list(c.req.param('projectId'))
    return c.json(Object.fromEntries(all.map((one) => [one.id, shown(one)])))
  })

  app.put('/:projectId/webhooks/:id', secret, jsonBody(Change), async (c) => {
    const { projectId, id } = c.req.param()
    const { rotate_secret: rotateSecret = false, url, events } = c.req.valid('json')
    const answer = await webhooks.change(projectId, id, {
      ...(url !== undefined && { url }),
      ...(events && { events }),
      rotateSecret,
    })
    return answer.secret === undefined ? c.body(null, 204) : c.json({ id, secret: answer.secret })
  })

  app.delete('/:projectId/webhooks/:id', secret, async (c) => {
    await webhooks.remove(c.req.param('projectId'), c.req.param('id'))
    return c.body(null, 204)
  })

  app.get(letters, secret, async (c) => {
    const { after, limit } = checked(DeadLettersPage, c.req.query())
    const { projectId, id } = c.req.param()
    const page = await webhooks.deadLetters(projectId, id, { after, limit })
    return c.json({
      dead_letters: page.map(({ id, attempts, failure, event }) => ({ id, attempts, failure, event })),
      next: page.length < limit ? null : (page.at(-1)?.id ?? null),
    })
  })

  app.post(`${letters}/replay`, secret, async (c) => {
    const { projectId, id } = c.req.param()
    return c.json({ replayed: await webhooks.replayAll(projectId, id) })
  })

  app.post(`${letters}/:event/replay`, secret, async (c) => {
    const { projectId, id, event } = c.req.param()
    await webhooks.replay(projectId, id, checked(Id, event))
    return c.body(null, 204)
  })
}
