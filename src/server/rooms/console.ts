/** The console's way in, put together: who is an operator, sessions, passkeys, the audit log. */
import type { Hono } from 'hono'
import { createRateLimits } from '../../platform/budgets/rate-limits.ts'
import { type Audit, createAudit } from '../console/audit.ts'
import { consoleRoutes } from '../console/http.ts'
import { CONSOLE_RATES } from '../console/limits.ts'
import {
  createOperatorAccess,
  createOwnPageCheck,
  type OperatorAccess,
  tokenCheck,
} from '../console/operator.ts'
import { createPasskeys } from '../console/passkeys.ts'
import { createSessions } from '../console/sessions.ts'
import type { RoomContext } from '../context.ts'
import { contextAddress } from '../payer.ts'

export interface ConsoleRoom {
  access: OperatorAccess
  audit: Audit
  routes: Hono
}

export const buildConsole = (context: RoomContext, token: string): ConsoleRoom => {
  const { config, stores, clock, log, randomBytes, payerFor, payerOf } = context
  const { publicUrl } = context.urls
  const store = stores.console
  const addressOf = contextAddress(context.addressOf)
  const sessions = createSessions({ store, clock, randomBytes })
  const isServed = config.pages.includes('console')
  const demandOwnPage = createOwnPageCheck([publicUrl, ...config.aliases])
  const access = createOperatorAccess({
    ...{ token, demandOwnPage, publicUrl },
    sessions: isServed ? sessions : undefined,
  })
  const audit = createAudit({ store, addressOf, hashOf: payerOf, clock, log })
  const routes = consoleRoutes(
    {
      ...{ access, sessions, audit, demandOwnPage, addressOf, payerFor, log },
      passkeys: createPasskeys({ store, clock, randomBytes, publicUrl }),
      isToken: tokenCheck(token),
      limits: createRateLimits(stores.buckets, CONSOLE_RATES, config.limits),
    },
    { publicUrl },
  )
  return { access, audit, routes }
}
