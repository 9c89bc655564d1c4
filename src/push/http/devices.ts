/**
 * Devices of our clients. `Authorization: Bearer <did-jwt>`, with `act` as in the table; browsers ask from any origin.
 *
 * | method, path | act | body | answer |
 * |---|---|---|---|
 * | GET    /push/v1/key | | | `{vapidKey}`: what `pushManager.subscribe` takes |
 * | POST   /push/v1/{project}/devices | push_register | `{target, hidden?, sealKey?, tags?, quiet?}` | `{deviceId}` |
 * | DELETE /push/v1/{project}/devices[/{deviceId}] | push_unregister | | `{ended}` |
 *
 * `target` is one of `{webpush: subscription}`, `{unifiedpush: subscription}`, `{apns: {token, sandbox?}}`, `{fcm: {token}}`.
 */
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import type { Payer } from '../../platform/budgets/payer.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import { httpErrors, readJson } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Devices, Registrant } from '../devices.ts'
import { NewDevice, ProjectId } from '../schema.ts'
import { clientOf } from './tokens.ts'

const MAX_BODY_BYTES = 16 * 1024
const REGISTER_WORK = WORK_COST.token + 5

export const deviceRoutes = (deps: {
  devices: Devices
  vapidKey: string
  payerFor: (c: Context) => Payer
  nameOf: (c: Context) => string
  isAudience: (url: unknown) => boolean
  now: () => number
  log: Log
}): Hono => {
  const { devices, vapidKey, payerFor, nameOf } = deps
  const app = new Hono()
  app.onError(httpErrors(deps.log))
  app.use('/push/*', cors({ origin: '*', allowMethods: ['GET', 'POST', 'DELETE'], maxAge: 86_400 }))

  const callerOf = async (c: Context, act: string): Promise<Registrant & { clientId: string }> => {
    const payer = payerFor(c)
    await payer.work(REGISTER_WORK)
    const clientId = clientOf(c.req.header('authorization'), deps, act)
    if (clientId === undefined) throw new ProtocolError('unauthenticated')
    return { clientId, payer, name: nameOf(c), isProven: true }
  }
  const projectOf = (c: Context): string => {
    const parsed = ProjectId.safeParse(c.req.param('project'))
    if (!parsed.success) throw new ProtocolError('not_found', 'no such project')
    return parsed.data
  }
  const end = async (c: Context): Promise<Response> => {
    const { clientId, ...who } = await callerOf(c, 'push_unregister')
    return c.json({ ended: await devices.unregister(projectOf(c), clientId, who, c.req.param('deviceId')) })
  }

  app.get('/push/v1/key', (c) => c.json({ vapidKey }))
  app.post('/push/v1/:project/devices', async (c) => {
    const { clientId, ...who } = await callerOf(c, 'push_register')
    const device = checked(NewDevice, await readJson(c.req.raw, MAX_BODY_BYTES))
    const deviceId = await devices.register(projectOf(c), clientId, device, who)
    return c.json({ deviceId })
  })
  app.delete('/push/v1/:project/devices', end)
  app.delete('/push/v1/:project/devices/:deviceId', end)
  return app
}
