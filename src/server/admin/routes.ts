/**
 * The operator's way in, for the command line. `Authorization: Bearer <admin token>`; no web page may ask.
 *
 * | method, path              | body or query                                                    | answer                 |
 * |---------------------------|------------------------------------------------------------------|------------------------|
 * | POST /admin/apps          | `{domain, project?, name?, description?, url?, icons?, types?, listed?}` | the app, with its project's secret |
 * | GET  /admin/apps          | `after?`, `limit?`                                               | `{apps, next}`         |
 * | POST /admin/notify        | `{domain, notification, accounts}`                           | `{sent, failed, not_found}` |
 * | GET  /admin/keys          | `after?`, `limit?`                                               | `{keys, next}`         |
 * | GET  /admin/keys/:key     |                                                                  | the registered key     |
 * | GET  /admin/backup        |                                                                  | a backup of the store (gzip) |
 * | …    /admin/projects      | see `projects`                                             |                        |
 * | …    /admin/accounts      | see `accounts`                                             |                        |
 * | …    /admin/usage, topics | see `usage`                                                |                        |
 *
 * Changing keys: `rotation`.
 */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Hono } from 'hono'
import { z } from 'zod'
import type { KeyRegistry } from '../../keys/service.ts'
import { type IdentityEntry, identityCursor } from '../../keys/store.ts'
import type { Apps } from '../../notify/apps/apps.ts'
import { AppDeclaration, Domain, NotifyV0 } from '../../notify/http/schema.ts'
import type { Sent } from '../../notify/publish/notifications.ts'
import type { NotifyOutcome, Publishing } from '../../notify/publish/service.ts'
import type { AppRecord } from '../../notify/store/store.ts'
import { checked, jsonBody } from '../../platform/net/http.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { backupBytes } from '../../storage/transfer/backup.ts'
import type { Transfer } from '../../storage/transfer/transfer.ts'
import { type Accounts, adminAccounts } from './accounts.ts'
import { adminBroadcasts } from './broadcasts.ts'
import type { Projects } from './default-project.ts'
import { page } from './page.ts'
import { adminProjects } from './projects.ts'
import { type AdminRotationDeps, adminRotationRoutes } from './rotation.ts'
import { typeNamed } from './type-by-name.ts'
import { type AdminUsageDeps, adminUsage } from './usage.ts'

export interface AdminDeps extends AdminRotationDeps {
  token: string
  projects: Projects | undefined
  apps: Apps | undefined
  publishing: Publishing | undefined
  sent: Sent | undefined
  registry: KeyRegistry | undefined
  transfer: Transfer | undefined
  accounts?: Accounts | undefined
  usage: Omit<AdminUsageDeps, 'apps'> | undefined
}

/** What `app add` prints. */
export interface AddedApp {
  projectId: string
  /** Null when the project was made with another secret. */
  secret: string | null
  domain: string
  subscribeKey: string
  authenticationKey: string
  types: { id: string; name: string }[]
}

const EnrolApp = z.intersection(
  AppDeclaration,
  z.object({ domain: Domain, project: z.string().min(1).max(64).optional() }),
)
const Notify = z.object({
  domain: Domain,
  notification: z.looseObject({ type: z.string() }),
  notificationId: z.string().min(1).max(255).optional(),
  accounts: z.array(z.string()).min(1).max(10_000),
})

const ACCOUNTS_AT_ONCE = 500

export const sameText = (a: string, b: string): boolean => {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

const bearerOf = (header: string | undefined): string => /^Bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? ''

/** Whether a request carries the admin token. */
export const operatorCheck =
  (token: string) =>
  ({ headers }: Pick<IncomingMessage, 'headers'>): boolean =>
    headers.authorization !== undefined && sameText(bearerOf(headers.authorization), token)

const shownKey = ({ identityKey, account, cacao, revokedAt }: IdentityEntry) => ({
  identityKey,
  account,
  revokedAt: revokedAt === undefined ? null : new Date(revokedAt).toISOString(),
  cacao: cacao === '' ? null : JSON.parse(cacao),
})

export const adminRoutes = (deps: AdminDeps): Hono => {
  const app = new Hono()

  app.use('/admin/*', async (c, next) => {
    if (!sameText(bearerOf(c.req.header('authorization')), deps.token))
      throw new ProtocolError('unauthenticated', 'the admin token')
    await next()
  })

  const room = <T>(thing: T | undefined, name: string): T => {
    if (thing === undefined) throw new ProtocolError('unavailable', `this process has no ${name} room`)
    return thing
  }

  app.route(
    '/',
    adminProjects(() => ({
      desk: room(deps.apps, 'notify').projects,
      projects: room(deps.projects, 'notify'),
    })),
  )
  app.route(
    '/',
    adminAccounts(() => room(deps.accounts, 'notify')),
  )

  app.post('/admin/apps', jsonBody(EnrolApp), async (c) => {
    const { project, domain, ...declaration } = c.req.valid('json')
    const apps = room(deps.apps, 'notify')
    const projects = room(deps.projects, 'notify')
    // The domain may be known already: then its project need not be named.
    const holder = project ?? (await apps.byDomain(domain))?.record.projectId ?? projects.defaultId
    const secret = await projects.ensure(holder)
    const { record } = await apps.enrol({ ...declaration, projectId: holder, domain })
    const { subscribeKey, authenticationKey, types, projectId } = record
    const added: AddedApp = {
      projectId,
      secret,
      domain,
      subscribeKey,
      authenticationKey,
      types: types.map(({ id, name }) => ({ id, name })),
    }
    return c.json(added)
  })

  const shownApp = ({ projectId, domain, name, description, url, types, listed, ...keys }: AppRecord) => {
    const { subscribeKey, authenticationKey } = keys
    return { projectId, domain, name, description, url, types, listed, subscribeKey, authenticationKey }
  }

  app.get('/admin/apps', async (c) => {
    const { limit, ...start } = page(c)
    const apps = await room(deps.apps, 'notify').list({ limit, ...start })
    return c.json({
      apps: apps.map(shownApp),
      next: apps.length < limit ? null : (apps.at(-1)?.domain ?? null),
    })
  })

  app.post('/admin/notify', jsonBody(Notify), async (c) => {
    const { domain, accounts, notificationId, notification } = c.req.valid('json')
    const publishing = room(deps.publishing, 'notify')
    const found = await room(deps.apps, 'notify').byDomain(domain)
    if (!found) throw new ProtocolError('unknown_app', domain)
    const { projectId } = found.record
    const type = typeNamed(found.record, notification.type)
    const answer: Omit<NotifyOutcome, 'notifications'> = { sent: [], failed: [], not_found: [] }
    // One id for all parts, so that it is one notification; ours when the caller has none.
    const id = notificationId ?? globalThis.crypto.randomUUID()
    for (let at = 0; at < accounts.length; at += ACCOUNTS_AT_ONCE) {
      const part = accounts.slice(at, at + ACCOUNTS_AT_ONCE)
      const message = checked(NotifyV0, {
        notification: { ...notification, type },
        accounts: part,
        notification_id: id,
      })
      const outcome = await publishing.notify(projectId, [{ ...message, domain }])
      answer.sent.push(...outcome.sent)
      answer.failed.push(...outcome.failed)
      answer.not_found.push(...outcome.not_found)
    }
    return c.json(answer)
  })

  app.route(
    '/',
    adminBroadcasts(() => ({
      apps: room(deps.apps, 'notify'),
      publishing: room(deps.publishing, 'notify'),
      sent: room(deps.sent, 'notify'),
    })),
  )

  app.get('/admin/keys', async (c) => {
    const { limit, ...start } = page(c)
    const keys = await room(deps.registry, 'keys').list({ limit, ...start })
    const last = keys.at(-1)
    return c.json({
      keys: keys.map(shownKey),
      next: keys.length < limit || !last ? null : identityCursor(last),
    })
  })

  app.get('/admin/keys/:key', async (c) => {
    const key = c.req.param('key')
    const cacao = await room(deps.registry, 'keys').identity(key)
    const identityKey = key.startsWith('did:key:') ? key : `did:key:${key}`
    return c.json({ identityKey, cacao: JSON.parse(cacao) })
  })

  app.get('/admin/backup', () => {
    const snapshot = room(deps.transfer, 'storage').snapshot()
    const bytes = backupBytes(snapshot, Date.now())
    const chunks: AsyncIterator<Buffer<ArrayBuffer>> = bytes[Symbol.asyncIterator]()
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: () => void bytes.destroy(),
    })
    return new Response(body, { headers: { 'content-type': 'application/gzip' } })
  })

  app.route(
    '/',
    adminUsage(() => ({ ...room(deps.usage, 'storage'), apps: deps.apps })),
  )
  return app.route('/', adminRotationRoutes(deps))
}
