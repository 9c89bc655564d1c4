/**
 * The HTTP way in for the relay's events (`relay/events`), at the reference's path and one beside it.
 *
 * | method, path                      | body                 | answer                                              |
 * |-----------------------------------|----------------------|-----------------------------------------------------|
 * | POST /v1/relay-webhook            | `{eventAuth: [jwt]}` | 200 when their effect is durable; 4xx: never again  |
 * | POST /v1/relay-webhook/delivered  | the same             | the same                                            |
 *
 * Two paths, because a relay knows a watch by its service and URL: one is for requests, one for what wallets received.
 */
import { Hono } from 'hono'
import { httpErrors, jsonBody, wrongMethods } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { WatchWebhook } from '../../protocol/relay-watch.ts'

export const RELAY_WEBHOOK = { messages: '/v1/relay-webhook', delivered: '/v1/relay-webhook/delivered' }

/** Several messages of the largest size, in base64. */
const MAX_BODY_BYTES = 4 * 1024 * 1024

export const relayWebhookRoutes = (deps: {
  take: (tokens: readonly string[]) => Promise<void>
  log: Log
}): Hono => {
  const routes = new Hono()
  routes.onError(httpErrors(deps.log))
  routes.use(wrongMethods(routes))
  for (const path of Object.values(RELAY_WEBHOOK)) {
    routes.post(path, jsonBody(WatchWebhook, MAX_BODY_BYTES), async (c) => {
      await deps.take(c.req.valid('json').eventAuth)
      return c.json({})
    })
  }
  return routes
}
