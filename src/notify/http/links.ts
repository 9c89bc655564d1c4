/** How often the links of a notification were followed: `GET /v1/:projectId/notifications/:id/links`, ours. */
import type { Hono, MiddlewareHandler } from 'hono'
import * as z from 'zod'
import { checked } from '../../platform/validate.ts'
import type { Publishing } from '../publish/service.ts'
import type { Clicks } from '../store/clicks.ts'
import { AccountText, Domain } from './schema.ts'

export const LinksQuery = z.object({ appDomain: Domain.optional(), account: AccountText.optional() })

const Own = z.object({ clicks: z.number(), first_click_at: z.string().nullable() })
const Day = z.object({ day: z.string(), count: z.number() })
export const LinksAnswer = Own.extend({ accounts: z.number(), days: z.array(Day), account: Own.optional() })

const shown = ({ count, firstAt }: Clicks): z.output<typeof Own> => ({
  clicks: count,
  first_click_at: count === 0 ? null : new Date(firstAt).toISOString(),
})

export const mountLinks = (
  app: Hono,
  deps: { publishing: Pick<Publishing, 'clicksOf'>; open: MiddlewareHandler; secret: MiddlewareHandler },
): void => {
  const path = '/v1/:projectId/notifications/:id/links'
  app.use(path, deps.open)
  app.get(path, deps.secret, async (c) => {
    const { appDomain, account } = checked(LinksQuery, c.req.query())
    const { projectId, id } = c.req.param()
    const clicks = await deps.publishing.clicksOf(projectId, id, { domain: appDomain, account })
    return c.json({
      ...shown(clicks),
      accounts: clicks.copies,
      days: clicks.days,
      ...(account !== undefined && { account: shown(clicks.own ?? { count: 0, firstAt: 0 }) }),
    })
  })
}
