/** The archive, put together: the ear that every relay process has, and the room that answers for it. */
import type { Hono } from 'hono'
import { archiveRoutes } from '../../archive/http.ts'
import { type ArchiveRules, createKeeper, type Keeper } from '../../archive/keeper.ts'
import { createArchive } from '../../archive/service.ts'
import { unmeasured } from '../../platform/telemetry.ts'
import { DAY_MS, MIB_BYTES } from '../../platform/units.ts'
import { isKnownAudience } from '../../relay/auth.ts'
import type { RoomContext } from '../context.ts'
import { createStoreSweeper } from '../sweeper.ts'

/** Fixed in published clients, which are led here by name. */
const PUBLISHED = 'https://history.walletconnect.com'

const rulesOf = ({ config }: RoomContext): ArchiveRules => ({
  retentionMs: config.archiveDays * DAY_MS,
  limits: { messages: config.archiveMessages, bytes: config.archiveMegabytes * MIB_BYTES },
})

export const buildKeeper = (context: RoomContext): Keeper => {
  const { stores, budgets, clock, metrics: meter, owned } = context
  const { state } = budgets
  return owned.use(createKeeper({ store: stores.archive, state, clock, meter }, rulesOf(context)))
}

export const buildArchive = (context: RoomContext, keeper: Keeper): { routes: Hono } => {
  const { urls, stores, payerFor, clock, log, owned } = context
  const archive = owned.use(
    createArchive({ store: stores.archive, mailboxes: stores.relay, keeper, clock, log }, rulesOf(context)),
  )
  const leaderTask = context.leaderTask('archive sweep')
  owned.use(createStoreSweeper({ store: stores.archive, leaderTask, clock, log, meter: unmeasured }))
  const origins = urls.knownOrigins && [...urls.knownOrigins, PUBLISHED]
  const isAudience = (url: unknown) => !origins || isKnownAudience(url, origins)
  return { routes: archiveRoutes({ archive, payerFor, clock, log, isAudience }) }
}
