/**
 * The operator's way in, for the command line and for the console's page. Who asks is checked by `console/operator`: the admin
 * token, or the session of a page of this server; pages of others never, and there is no CORS. What changes something is
 * written into the audit log. What this process does not have is answered with `unavailable`.
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
 * | /admin/apps/:domain/notifications        | `sent`       |
 * | /admin/status, /admin/samples            | `live/status` |
 * | /admin/connections, /admin/budgets       | `live/holders` |
 * | /admin/blocks, /admin/audit              | `live/blocks`, `live/audit` |
 */
import { Hono } from 'hono'
import type { KeyRegistry } from '../../keys/service.ts'
import type { Apps } from '../../notify/apps/apps.ts'
import type { Notifications } from '../../notify/publish/notifications.ts'
import type { Publishing } from '../../notify/publish/service.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Transfer } from '../../storage/transfer/transfer.ts'
import type { Audit } from '../console/audit.ts'
import type { OperatorAccess, OperatorEnv } from '../console/operator.ts'
import { type Accounts, adminAccounts } from './accounts.ts'
import { type AdminAppsDeps, adminApps } from './apps.ts'
import { adminBackup } from './backup.ts'
import { adminBroadcasts } from './broadcasts.ts'
import type { Projects } from './default-project.ts'
import { adminKeys } from './keys.ts'
import { adminAudit } from './live/audit.ts'
import { adminBlocks, type BlocksDeps } from './live/blocks.ts'
import { adminHolders, type HoldersDeps } from './live/holders.ts'
import { adminStatus, type StatusDeps } from './live/status.ts'
import { type AdminProjectsDeps, adminProjects } from './projects.ts'
import { adminPush } from './push.ts'
import { type AdminRotationDeps, adminRotationRoutes } from './rotation.ts'
import { adminSent } from './sent.ts'
import { type AdminUsageDeps, adminUsage } from './usage.ts'

export interface AdminDeps extends AdminRotationDeps {
  access: Pick<OperatorAccess, 'demand'>
  audit: Pick<Audit, 'watch' | 'list'>
  projects: Projects | undefined
  apps: Apps | undefined
  publishing: Publishing | undefined
  sent: Notifications | undefined
  webhooks: AdminProjectsDeps['webhooks'] | undefined
  /** Subscribers of apps. */
  subscribers: Pick<AdminAppsDeps, 'subscriberCount' | 'removeApp'> | undefined
  registry: KeyRegistry | undefined
  transfer: Transfer | undefined
  accounts?: Accounts | undefined
  usage: Omit<AdminUsageDeps, 'apps'> | undefined
  push?: ReturnType<Parameters<typeof adminPush>[0]> | undefined
  live?: (StatusDeps & HoldersDeps & BlocksDeps) | undefined
}

export const adminRoutes = (deps: AdminDeps): Hono => {
  const app = new Hono<OperatorEnv>()

  app.use('/admin/*', deps.access.demand, deps.audit.watch)

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
    adminSent(() => ({ apps: apps(), sent: room(deps.sent, 'notify') })),
    adminStatus(() => room(deps.live, 'storage')),
    adminHolders(() => room(deps.live, 'storage')),
    adminBlocks(() => room(deps.live, 'storage')),
    adminAudit(deps.audit),
  ]
  for (const part of parts) app.route('/', part)
  return new Hono().route('/', app)
}
