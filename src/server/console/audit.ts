/**
 * What operators did: a row for each request that changes something, and for those that take everything away (a backup, an
 * account's data). Who, when, what, on what, and how it ended; never what was said beside names. A row is written before
 * the answer. An account is named by a keyed hash: erasing it leaves no trace, here neither. Tries to sign in that fail are logged, not kept here: strangers would push out what operators did.
 */
import type { Context, MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import * as z from 'zod'
import { asProtocolError } from '../../platform/net/http.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { Operator, OperatorEnv } from './operator.ts'
import type { AuditRow, ConsoleStore } from './store.ts'

export type { AuditRow } from './store.ts'

/** What is read and yet recorded. */
const TAKES_AWAY = new Set(['/admin/backup', '/admin/accounts/:account'])
/** Members of a body that are names. */
const NAMES = [
  'domain',
  'project',
  'id',
  'name',
  'notificationId',
  'client',
  'kind',
  'value',
  'secretId',
] as const
const MAX_NAME_LENGTH = 256

const NamesIn = z.record(z.string(), z.unknown()).catch({})

export interface Audit {
  /** Behind `OperatorAccess.demand`. */
  watch: MiddlewareHandler<OperatorEnv>
  record(
    c: Context,
    what: { operator: Operator; action: string; subject?: Record<string, string> },
  ): Promise<void>
  list: (page: { after?: string | undefined; limit: number }) => Promise<AuditRow[]>
}

interface AuditDeps {
  store: Pick<ConsoleStore, 'record' | 'audit'>
  addressOf: (c: Context) => string
  /** Equal for equal texts, and tells nothing of them to who lacks the server's secret. */
  hashOf: (text: string) => string
  clock: Clock
  log: Log
}

/** What is asked of operators. A path of the API may fit as well: `/:projectId/notify` is no `/admin/notify`. */
const routeOf = (c: Context) =>
  matchedRoutes(c).findLast(({ path }) => /^\/(admin|console)\//.test(path) && !path.endsWith('*'))

const subjectOf = (c: Context, { hashOf }: Pick<AuditDeps, 'hashOf'>): Record<string, string> => {
  const route = routeOf(c)
  const params = route ? c.req.param() : {}
  const body = NamesIn.parse(Reflect.apply(c.req.valid, c.req, ['json']))
  const query = c.req.query()
  const named = NAMES.flatMap((key) => {
    const value = body[key] ?? query[key]
    return typeof value === 'string' ? [[key, value] as const] : []
  })
  const given = { ...Object.fromEntries(named), ...z.record(z.string(), z.string()).catch({}).parse(params) }
  const subject: Record<string, string> = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, value.slice(0, MAX_NAME_LENGTH)]),
  )
  return subject.account === undefined ? subject : { ...subject, account: hashOf(subject.account) }
}

export const createAudit = (deps: AuditDeps): Audit => {
  const { store, addressOf, clock, log } = deps

  const write = async (
    c: Context,
    operator: Operator,
    row: Pick<AuditRow, 'action' | 'subject' | 'status' | 'failure'>,
  ): Promise<void> => {
    const session = operator.by === 'session' ? operator.session : undefined
    const by = { by: operator.by, session: session?.id ?? '', passkey: session?.passkey ?? '' }
    const whole = { at: clock.now(), ...by, address: addressOf(c), ...row }
    await store.record(whole).catch((err: unknown) => {
      log.error({ err, ...whole }, 'What an operator did could not be kept in the audit log')
    })
  }

  return {
    async watch(c, next) {
      await next()
      const route = routeOf(c)
      const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
      if (!route || (isRead && !TAKES_AWAY.has(route.path))) return
      const { status } = c.res
      const failed = c.error && (asProtocolError(c.error)?.message ?? 'Internal server error')
      const action = `${c.req.method} ${route.path}`
      const failure = (failed ?? '').slice(0, MAX_NAME_LENGTH)
      await write(c, c.get('operator'), { action, subject: subjectOf(c, deps), status, failure })
    },
    record: (c, { operator, action, subject = {} }) =>
      write(c, operator, { action, subject, status: 200, failure: '' }),
    list: (page) => store.audit({ ...page, now: clock.now() }),
  }
}
