/**
 * The registry of installations over HTTP; dapps in browsers ask from any origin.
 *
 * | method, path           | body                                       | answer                                  |
 * |------------------------|--------------------------------------------|-----------------------------------------|
 * | POST /rpc/v1           | JSON-RPC 2.0, one or a batch, ≤ 64 KiB     | 200, errors included; 204 when nothing is asked back |
 * | POST /rpc/v1/<method>  | the same, for this method only             | the same                                |
 * | any other method       |                                            | 405                                     |
 *
 * 413 and 415 are as everywhere, with the JSON-RPC error as their body.
 */
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { HOUSE, type Payer } from '../platform/budgets/payer.ts'
import { readJsonText } from '../platform/net/http.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { rpcFailure } from '../protocol/jsonrpc.ts'
import { createMethods } from './methods.ts'
import { createRpc, failureOf } from './rpc.ts'
import type { Contacts } from './service.ts'

const MAX_BODY_BYTES = 64 * 1024
const JSON_TYPE = { 'Content-Type': 'application/json' }

export const contactsRoutes = (deps: {
  contacts: Contacts
  log: Log
  meter: Meter
  payerFor?: (c: Context) => Payer
  newId?: () => string
}): Hono => {
  const { payerFor = () => HOUSE } = deps
  const { contacts, log, meter, newId = () => globalThis.crypto.randomUUID() } = deps
  const answer = createRpc({ methods: createMethods(contacts), log, meter, newId })

  const take = async (c: Context, urlMethod?: string): Promise<Response> => {
    c.header('Cache-Control', 'no-store')
    try {
      const text = await answer(await readJsonText(c.req.raw, MAX_BODY_BYTES), payerFor(c), urlMethod)
      return text === undefined ? c.body(null, 204) : c.body(text, 200, JSON_TYPE)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const { code, message } = failureOf(error)
      const status = error.code === 'bad_request' ? 200 : error.http
      return c.body(rpcFailure(null, code, message), status, JSON_TYPE)
    }
  }

  const app = new Hono()
  for (const path of ['/rpc/v1', '/rpc/v1/:method']) {
    app.use(
      path,
      cors({ origin: '*', allowMethods: ['POST'], exposeHeaders: ['Retry-After'], maxAge: 86_400 }),
    )
  }
  app.post('/rpc/v1', (c) => take(c))
  app.post('/rpc/v1/:method', (c) => take(c, c.req.param('method')))
  return app
}
