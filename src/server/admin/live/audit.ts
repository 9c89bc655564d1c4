/** `GET /admin/audit`, `after?`, `limit?`: `{rows, next}`, newest first; see `console/audit`. */
import { Hono } from 'hono'
import * as z from 'zod'
import { checked } from '../../../platform/validate.ts'
import type { Audit, AuditRow } from '../../console/audit.ts'

export const Page = z.object({
  after: z
    .string()
    .regex(/^[0-9a-f]{24}$/, { error: 'must be what `next` said' })
    .optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

const shown = ({ at, id: _, ...row }: AuditRow) => ({ at: new Date(at).toISOString(), ...row })

export const adminAudit = (audit: Pick<Audit, 'list'>): Hono => {
  const app = new Hono()
  app.get('/admin/audit', async (c) => {
    const wanted = checked(Page, c.req.query())
    const rows = await audit.list(wanted)
    return c.json({
      rows: rows.map(shown),
      next: rows.length < wanted.limit ? null : (rows.at(-1)?.id ?? null),
    })
  })
  return app
}
