/**
 * The operator's way in, for the command line. `Authorization: Bearer <admin token>`; no web page may ask. What this process
 * does not have is answered with `unavailable`.
 *
 * | path                                     | see          |
 * |------------------------------------------|--------------|
 * | /admin/apps, /admin/notify               | `apps`       |
 * | /admin/projects                          | `projects`   |
 * | /admin/accounts                          | `accounts`   |
 * | /admin/broadcasts                        | `broadcasts` |
 * | /admin/keys                              | `keys`       |
 * | /admin/backup                            | `backup`     |
 * | /admin/usage, /admin/topics              | `usage`      |
 * | /admin/rotate, /admin/reseal             | `rotation`   |
 * | /admin/push                              | `push`       |
 */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Hono } from 'hono'
import type { KeyRegistry } from '../../keys/service.ts'
import type { Apps } from '../../notify/apps/apps.ts'
import type { Notifications } from '../../notify/publish/notifications.ts'
import type { Publishing } from '../../notify/publish/service.ts'
import type { Webhooks } from '../../notify/webhooks/service.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Transfer } from '../../storage/transfer/transfer.ts'
import { type Accounts, adminAccounts } from './accounts.ts'
import { type AdminAppsDeps, adminApps } from './apps.ts'
import { adminBackup } from './backup.ts'
import { adminBroadcasts } from './broadcasts.ts'
import type { Projects } from './default-project.ts'
import { adminKeys } from './keys.ts'
import { adminProjects } from './projects.ts'
import { adminPush } from './push.ts'
import { type AdminRotationDeps, adminRotationRoutes } from './rotation.ts'
import { type AdminUsageDeps, adminUsage } from './usage.ts'

export interface AdminDeps extends AdminRotationDeps {
  token: string
  projects: Projects | undefined
  apps: Apps | undefined
  publishing: Publishing | undefined
  sent: Notifications | undefined
  webhooks: Pick<Webhooks, 'list' | 'deadLetters'> | undefined
  /** Subscribers of apps. */
  subscribers: Pick<AdminAppsDeps, 'subscriberCount' | 'removeApp'> | undefined
  registry: KeyRegistry | undefined
  transfer: Transfer | undefined
  accounts?: Accounts | undefined
  usage: Omit<AdminUsageDeps, 'apps'> | undefined
  push?: ReturnType<Parameters<typeof adminPush>[0]> | undefined
}

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
  const apps = () => room(deps.apps, 'notify')
  const projects = () => room(deps.projects, 'notify')
  const publishing = () => room(deps.publishing, 'notify')

  const parts = [
    adminProjects(() => ({
      desk: apps().projects,
      projects: projects(),
      webhooks: room(deps.webhooks, 'notify'),
    })),
    adminAccounts(() => room(deps.accounts, 'notify')),
    adminApps(() => ({
      ...room(deps.subscribers, 'notify'),
      ...{ apps: apps(), projects: projects(), publishing: publishing() },
    })),
    adminBroadcasts(() => ({ apps: apps(), publishing: publishing(), sent: room(deps.sent, 'notify') })),
    adminKeys(() => room(deps.registry, 'keys')),
    adminBackup(() => room(deps.transfer, 'storage')),
    adminUsage(() => ({ ...room(deps.usage, 'storage'), apps: deps.apps })),
    adminRotationRoutes(deps),
    adminPush(() => room(deps.push, 'push')),
  ]
  for (const part of parts) app.route('/', part)
  return app
}
