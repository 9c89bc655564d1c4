/**
 * The published push server's routes for its operator: projects and their credentials. `Authorization: Bearer <admin token>`.
 *
 * | method, path | body | answer |
 * |---|---|---|
 * | POST   /tenants | `{id}` | `{url}` |
 * | GET    /tenants/{id} | | `{url, enabled_providers, apns_topic, apns_type, suspended, suspended_reason}` |
 * | DELETE /tenants/{id} | | `{success}` |
 * | POST   /tenants/{id}/apns | multipart: `apns_type` certificate or token, `apns_topic`, `apns_certificate` and `apns_certificate_password`, or `apns_pkcs8_pem`, `apns_key_id`, `apns_team_id` | `{success}` |
 * | POST   /tenants/{id}/fcm_v1 | multipart: `credentials`, the service account as JSON | `{success}` |
 * | POST   /tenants/{id}/fcm | | 400: Google has shut down the legacy API |
 * | DELETE /tenants/{id}/apns, …/fcm, …/fcm_v1 | | `{success}` |
 */
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { readBody, readJson } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Projects } from '../projects.ts'
import { ApnsCredentials } from '../providers/apns.ts'
import { FcmCredentials } from '../providers/fcm.ts'
import { ProjectId } from '../schema.ts'
import { PROVIDER_NAMES, type PushProject } from '../store.ts'
import { publishedFailures } from './failures.ts'

const MAX_BODY_BYTES = 256 * 1024
const Tenant = z.object({ id: ProjectId })

/** As the published server names them. */
const SHOWN_NAMES: Record<string, string> = { apns: 'apns', fcm: 'fcm_v1' }

const shown = ({ id, credentials }: PushProject, publicUrl: string) => {
  const { apns } = credentials
  const enabled = PROVIDER_NAMES.flatMap((name) => (credentials[name] ? [SHOWN_NAMES[name] ?? name] : []))
  const stopped = PROVIDER_NAMES.flatMap((name) => {
    const reason = credentials[name]?.stopped?.reason
    return reason === undefined ? [] : [`${SHOWN_NAMES[name] ?? name}: ${reason}`]
  })
  return {
    url: `${publicUrl}/${id}`,
    enabled_providers: [...enabled, 'noop'],
    apns_topic: apns?.shown.topic ?? null,
    apns_type: apns?.shown.kind ?? null,
    suspended: stopped.length > 0,
    suspended_reason: stopped.length > 0 ? stopped.join('; ') : null,
  }
}

/** Fields of a form, files as bytes. */
const formOf = async (c: Context): Promise<Map<string, Uint8Array>> => {
  const body = await readBody(c.req.raw, MAX_BODY_BYTES)
  const type = c.req.header('content-type') ?? ''
  try {
    const form = await new Response(Buffer.from(body), { headers: { 'content-type': type } }).formData()
    const fields = new Map<string, Uint8Array>()
    for (const [name, value] of form) {
      const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.from(await value.arrayBuffer())
      fields.set(name, bytes)
    }
    return fields
  } catch (cause) {
    throw new ProtocolError('bad_request', 'not a multipart form', { cause })
  }
}

const textIn = (form: ReadonlyMap<string, Uint8Array>, field: string): string => {
  const value = form.get(field)
  if (value === undefined) throw new ProtocolError('bad_params', 'it is missing', { field })
  return Buffer.from(value).toString('utf8')
}

const apnsOf = (form: ReadonlyMap<string, Uint8Array>): ApnsCredentials => {
  const kind = textIn(form, 'apns_type')
  const topic = textIn(form, 'apns_topic')
  if (kind === 'certificate') {
    textIn(form, 'apns_certificate')
    const certificate = Buffer.from(form.get('apns_certificate') ?? []).toString('base64')
    return checked(ApnsCredentials, {
      kind,
      topic,
      certificate,
      password: textIn(form, 'apns_certificate_password'),
    })
  }
  if (kind !== 'token') throw new ProtocolError('bad_params', 'certificate or token', { field: 'apns_type' })
  return checked(ApnsCredentials, {
    ...{ kind, topic, key: textIn(form, 'apns_pkcs8_pem') },
    ...{ keyId: textIn(form, 'apns_key_id'), teamId: textIn(form, 'apns_team_id') },
  })
}

const fcmOf = (form: ReadonlyMap<string, Uint8Array>): FcmCredentials => {
  let account: unknown
  try {
    account = JSON.parse(textIn(form, 'credentials'))
  } catch (cause) {
    throw cause instanceof ProtocolError
      ? cause
      : new ProtocolError('bad_params', 'not JSON', { field: 'credentials', cause })
  }
  return checked(FcmCredentials, account)
}

export const tenantRoutes = (
  { projects, isOperator, log }: { projects: Projects; isOperator: (c: Context) => boolean; log: Log },
  { publicUrl }: { publicUrl: string },
): Hono => {
  const app = new Hono()
  app.onError(publishedFailures(log))
  for (const path of ['/tenants', '/tenants/*'])
    app.use(path, async (c, next) => {
      if (!isOperator(c)) throw new ProtocolError('unauthenticated', 'the admin token')
      await next()
    })

  const idOf = (c: Context): string => checked(Tenant, { id: c.req.param('id') }).id
  const known = async (c: Context): Promise<PushProject> => {
    const project = await projects.find(idOf(c))
    if (!project) throw new ProtocolError('not_found', 'no such tenant')
    return project
  }

  app.post('/tenants', async (c) => {
    const { id } = checked(Tenant, await readJson(c.req.raw, MAX_BODY_BYTES))
    await projects.set(id)
    return c.json({ url: `${publicUrl}/${id}` })
  })
  app.get('/tenants/:id', async (c) => c.json(shown(await known(c), publicUrl)))
  app.delete('/tenants/:id', async (c) => {
    await projects.remove(idOf(c))
    return c.json({ success: true })
  })
  app.post('/tenants/:id/apns', async (c) => {
    const { id } = await known(c)
    await projects.set(id, { credentials: [{ provider: 'apns', apns: apnsOf(await formOf(c)) }] })
    return c.json({ success: true })
  })
  app.post('/tenants/:id/fcm_v1', async (c) => {
    const { id } = await known(c)
    await projects.set(id, { credentials: [{ provider: 'fcm', fcm: fcmOf(await formOf(c)) }] })
    return c.json({ success: true })
  })
  app.post('/tenants/:id/fcm', () => {
    throw new ProtocolError('bad_request', 'Google has shut down the legacy API: set fcm_v1')
  })
  for (const [path, provider] of [
    ['apns', 'apns'],
    ['fcm', 'fcm'],
    ['fcm_v1', 'fcm'],
  ] as const)
    app.delete(`/tenants/:id/${path}`, async (c) => {
      await projects.removeCredentials((await known(c)).id, provider)
      return c.json({ success: true })
    })
  return app
}
