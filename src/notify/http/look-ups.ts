/** What anybody may ask: links of notifications, did documents, what apps say about themselves. */
import type { Context, Hono } from 'hono'
import type { Payer } from '../../platform/budgets/payer.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import { didDocument } from '../apps/did-document.ts'
import type { KeyRing } from '../apps/key-ring.ts'
import type { Limits } from '../apps/limits.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import { pagesOf } from '../pages.ts'
import type { Publishing } from '../publish/service.ts'
import type { AppRecord } from '../store/store.ts'
import { Domain, NotifyConfigQuery, ProjectsQuery } from './schema.ts'

export interface LookUpDeps {
  apps: Pick<Apps, 'byDomain' | 'list'>
  publishing: Pick<Publishing, 'linkOf'>
  serverKeys: KeyRing & Pick<ServerKeys, 'refresh'>
  limits: Pick<Limits, 'take'>
  payerFor: (c: Context) => Payer
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const APP_PAGE_SIZE = 500

/** How wallets' app lists name an app; an app that declared nothing still has its domain. */
const listing = ({ domain, name, description, url, icons }: AppRecord) => {
  const page = url || `https://${domain}`
  return { id: domain, name: name || domain, homepage: page, description, dapp_url: page, image_url: icons }
}

const mountDidDocuments = (
  app: Hono,
  { apps, serverKeys }: Pick<LookUpDeps, 'apps' | 'serverKeys'>,
  publicHost: string,
): void => {
  const appDocument = async (domain: string | undefined) => {
    const named = Domain.safeParse(domain)
    const found = named.success ? await apps.byDomain(named.data) : undefined
    return found && didDocument(found.record.domain, found)
  }

  app.get('/.well-known/did.json', async (c) => {
    const host = (c.req.header('host') ?? new URL(c.req.url).host).toLowerCase()
    // Our own host first: an app on the same host would hide the server's keys from wallets.
    const document = host === publicHost ? undefined : await appDocument(host)
    if (document) return c.json(document)
    // Keys that another process has replaced a moment ago must not be cached by anybody.
    await serverKeys.refresh()
    return c.json(didDocument(publicHost, serverKeys))
  })

  app.get('/apps/:domain/did.json', async (c) => {
    const document = await appDocument(c.req.param('domain'))
    if (!document) throw new ProtocolError('unknown_app')
    return c.json(document)
  })
}

const mountAppLists = (app: Hono, { apps, payerFor }: Pick<LookUpDeps, 'apps' | 'payerFor'>): void => {
  app.get('/w3i/v1/notify-config', async (c) => {
    const { appDomain } = checked(NotifyConfigQuery, c.req.query())
    const found = await apps.byDomain(appDomain)
    if (!found) throw new ProtocolError('unknown_app', appDomain)
    const { types, icons } = found.record
    const notificationTypes = types.map((type) => ({ ...type, imageUrls: icons }))
    return c.json({ data: { ...listing(found.record), notificationTypes, isVerified: false } })
  })

  app.get('/w3i/v1/projects', async (c) => {
    const { entries, page } = checked(ProjectsQuery, c.req.query())
    const payer = payerFor(c)
    const listed: AppRecord[] = []
    const read = async (range: { after?: string; limit: number }) => {
      await payer.work(WORK_COST.lookUp)
      return apps.list(range)
    }
    for await (const some of pagesOf(APP_PAGE_SIZE, read, (record) => record.domain)) {
      listed.push(...some.filter((record) => record.listed))
    }
    const wanted = listed.slice((page - 1) * entries, page * entries)
    const projects = wanted.map((record) => [record.domain, { ...listing(record), is_verified: false }])
    return c.json({ projects: Object.fromEntries(projects), count: listed.length })
  })
}

export const mountLookUps = (app: Hono, deps: LookUpDeps, options: { publicUrl: string }): void => {
  const { publishing, limits } = deps
  app.get('/v1/notification/:id', async (c) => {
    const id = c.req.param('id')
    // HEAD looks where a link leads and does not follow it.
    const isClick = c.req.method === 'GET'
    if (UUID.test(id)) await limits.take('link', id.toLowerCase())
    const link = UUID.test(id) ? await publishing.linkOf(id.toLowerCase(), { isClick }) : undefined
    if (link === undefined) throw new ProtocolError('not_found', 'the link leads nowhere, or no longer')
    // A cache must not tell others who followed the link.
    c.header('Cache-Control', 'no-store')
    return c.redirect(link, 307)
  })
  mountDidDocuments(app, deps, new URL(options.publicUrl).host)
  mountAppLists(app, deps)
}
