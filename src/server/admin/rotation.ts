/**
 * Changing keys, for the operator; behind the guard of `routes`.
 *
 * | method, path              | body                         | answer                                             |
 * |---------------------------|------------------------------|----------------------------------------------------|
 * | POST /admin/rotate/server | `{overlap}` s                | `{authenticationKey, subscribeKey, until}`         |
 * | POST /admin/rotate/app    | `{domain, overlap}` s        | the same                                           |
 * | POST /admin/reseal        |                              | how far it is; begins unless it is under way       |
 * | GET  /admin/reseal        |                              | how far it is, and how it ended                    |
 */
import { Hono } from 'hono'
import * as z from 'zod'
import type { Rotated, Rotation } from '../../notify/apps/rotation.ts'
import { Domain } from '../../notify/http/schema.ts'
import { jsonBody } from '../../platform/net/http.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Reencryption } from './reencrypt.ts'

export interface AdminRotationDeps {
  /** Undefined while there is no notify server. */
  rotation: () => Rotation | undefined
  reencryption: Reencryption | undefined
}

/** Seconds; a year is more than any wallet keeps running. */
export const overlap = z.number().int().min(0).max(31_536_000)

export const adminRotationRoutes = (deps: AdminRotationDeps): Hono => {
  const app = new Hono()
  const present = <T>(thing: T | undefined): T => {
    if (thing === undefined) throw new ProtocolError('unavailable', 'this process has no notify room')
    return thing
  }
  const shown = ({ until, ...keys }: Rotated) => ({ ...keys, until: new Date(until).toISOString() })

  app.post('/admin/rotate/server', jsonBody(z.object({ overlap })), async (c) =>
    c.json(shown(await present(deps.rotation()).server(c.req.valid('json').overlap * 1000))),
  )

  app.post('/admin/rotate/app', jsonBody(z.object({ domain: Domain, overlap })), async (c) => {
    const wanted = c.req.valid('json')
    return c.json(shown(await present(deps.rotation()).app(wanted.domain, wanted.overlap * 1000)))
  })

  app.post('/admin/reseal', (c) => {
    const reencryption = present(deps.reencryption)
    reencryption.begin()
    return c.json(reencryption.state())
  })
  app.get('/admin/reseal', (c) => c.json(present(deps.reencryption).state()))

  return app
}
