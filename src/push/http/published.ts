/**
 * The published push server's routes for wallets and relays, single and multi-tenant: without `/{tenant}` the tenant is
 * `default`.
 *
 * | method, path | who | body | answer |
 * |---|---|---|---|
 * | POST   `[/{tenant}]/clients` | wallet | `{client_id, type, token, always_raw?}` | 200 `{status}` · 400, 401, 404, 429 |
 * | DELETE `[/{tenant}]/clients/{id}` | wallet | | 200 `{status}` · 401, 404 |
 * | POST   `[/{tenant}]/clients/{id}` | relay | `{topic, tag, message}`, or `{id, payload: {topic, flags, blob}}` | 202 `{status}` · 200 delivered before · 400, 401, 413 |
 *
 * A wallet proves who it is by a did-jwt in `Authorization`; where the project allows it, it may leave that out. A relay signs
 * `timestamp.length.body` with its Ed25519 key (`X-Ed25519-Signature`, `X-Ed25519-Timestamp`).
 */
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import * as z from 'zod'
import type { Payer } from '../../platform/budgets/payer.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import { jsonOf, readBody, readJson } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Deliver } from '../deliveries.ts'
import type { Devices, Registrant } from '../devices.ts'
import { PUSH_LIMITS } from '../limits.ts'

import { ClientId, ProjectId, PublishedClient, RelayMessageBody } from '../schema.ts'
import { DEFAULT_PROJECT } from '../store.ts'
import { publishedFailures, SUCCESS } from './failures.ts'
import type { SignatureCheck } from './relay-signature.ts'
import { clientOf } from './tokens.ts'

const MAX_REGISTRATION_BYTES = 16 * 1024
const REGISTER_WORK = WORK_COST.token + 5

export interface PublishedDeps {
  devices: Devices
  deliver: Deliver
  isSigned: SignatureCheck
  payerFor: (c: Context) => Payer
  /** What stands for the address in rate limits. */
  nameOf: (c: Context) => string
  isAudience: (url: unknown) => boolean
  now: () => number
  log: Log
}

const projectOf = (c: Context): string => {
  const tenant = c.req.param('tenant')
  if (tenant === undefined) return DEFAULT_PROJECT
  const parsed = ProjectId.safeParse(tenant)
  if (!parsed.success) throw new ProtocolError('not_found', 'no such project')
  return parsed.data
}

const clientIn = (c: Context): string => checked(z.object({ id: ClientId }), { id: c.req.param('id') }).id

export const publishedRoutes = (deps: PublishedDeps): Hono => {
  const { devices, deliver, isSigned, payerFor, nameOf } = deps

  const registrant = (c: Context, clientId: string): Registrant => {
    const signer = clientOf(c.req.header('authorization'), deps)
    if (signer !== undefined && signer !== clientId)
      throw new ProtocolError('unauthenticated', 'the token is of another client')
    return { payer: payerFor(c), name: nameOf(c), isProven: signer !== undefined }
  }

  const register = async (c: Context): Promise<Response> => {
    await payerFor(c).work(REGISTER_WORK)
    const client = checked(PublishedClient, await readJson(c.req.raw, MAX_REGISTRATION_BYTES))
    await devices.registerPublished(projectOf(c), client, registrant(c, client.client_id))
    return c.json(SUCCESS)
  }

  const unregister = async (c: Context): Promise<Response> => {
    await payerFor(c).work(REGISTER_WORK)
    const clientId = clientIn(c)
    const count = await devices.unregister(projectOf(c), clientId, registrant(c, clientId))
    if (count === 0) throw new ProtocolError('not_found', 'no such client')
    return c.json(SUCCESS)
  }

  const push = async (c: Context): Promise<Response> => {
    const payer = payerFor(c)
    await payer.work(WORK_COST.signature)
    const body = await readBody(c.req.raw, PUSH_LIMITS.bodyBytes)
    const signature = c.req.header('x-ed25519-signature')
    const timestamp = c.req.header('x-ed25519-timestamp')
    if (!(await isSigned({ signature, timestamp, body }))) throw new ProtocolError('unauthenticated')
    const to = { projectId: projectOf(c), clientId: clientIn(c) }
    const outcome = await deliver(to, checked(RelayMessageBody, jsonOf(body)), payer)
    return c.json(SUCCESS, outcome === 'known' ? 200 : 202)
  }

  const app = new Hono()
  app.onError(publishedFailures(deps.log))
  for (const base of ['', '/:tenant'] as const) {
    for (const path of [`${base}/clients`, `${base}/clients/:id`])
      app.use(path, cors({ origin: '*', allowMethods: ['POST', 'DELETE'], maxAge: 86_400 }))
    app.post(`${base}/clients`, register)
    app.delete(`${base}/clients/:id`, unregister)
    app.post(`${base}/clients/:id`, push)
  }
  return app
}
