/**
 * What a dapp sent, to be looked at and to be cancelled. Notifications have their ids from the dapp, unique per app; the
 * app need be named only where several of a project use one id: otherwise the oldest that has it is meant.
 *
 * | status    | when                                                        |
 * |-----------|-------------------------------------------------------------|
 * | scheduled | its time has not come                                       |
 * | queued    | not everybody's message has left yet                        |
 * | done      | else; `counts` tell what became of it                       |
 * | cancelled | it was cancelled; what had left before that did arrive      |
 */
import type { JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import { UNLIMITED } from '../apps/limits.ts'
import { CANCELLED, type DeliveryState, type NotificationName, type Receipt } from '../store/receipts.ts'
import type { AppRecord, Notification, NotifyStore } from '../store/store.ts'
import { createBroadcasts, type Progress } from './broadcasts.ts'
import { createCancellations } from './cancellation.ts'
import { createFanOut } from './fan-out.ts'
import { appsOf } from './resolve-app.ts'
import { createSchedule, type ScheduledNotification } from './schedule.ts'

type Counts = Record<DeliveryState, number>

export interface SentNotification extends NotificationName {
  status: 'scheduled' | 'queued' | 'done' | 'cancelled'
  content: Pick<Notification, 'type' | 'title' | 'body' | 'icon' | 'url'>
  collapseKey: string | null
  /** Null while it is only scheduled. */
  createdAt: number | null
  /** When it is due, while it is scheduled. */
  deliverAt: number | null
  deliverBy: number | null
  expiresAt: number | null
  counts: Counts
}

export interface Named {
  projectId: string
  id: string
  domain?: string | undefined
}

/** Everything that is named and is not there throws `not_found`. */
export interface Notifications {
  /** Newest first; those that are scheduled in an order of their own. */
  list(
    projectId: string,
    page: {
      domain?: string | undefined
      scheduled: boolean
      after?: string | undefined
      limit: number
    },
  ): Promise<{ notifications: SentNotification[]; next: string | null }>
  find(named: Named): Promise<SentNotification>
  receipts(
    named: Named,
    page: { state?: DeliveryState | undefined; after?: string | undefined; limit: number },
  ): Promise<{ receipts: Receipt[]; next: string | null }>
  broadcast(named: Named): Promise<{ progress: Progress; counts: Counts }>
  /**
   * Nothing more of it is handed over, and what is still queued is taken back: answers from how many accounts. What has
   * left, or is leaving, arrives.
   */
  cancel(named: Named): Promise<number>
}

const NONE: Counts = { queued: 0, published: 0, delivered: 0, read: 0, failed: 0 }
/** 255 characters may be twice as many UTF-16 units. */
const LONGEST_ID = 510
const noSuch = () => new ProtocolError('not_found', 'no such notification')

export const createNotifications = (deps: {
  store: NotifyStore
  jobQueue: JobQueue
  apps: Pick<Apps, 'list' | 'projects'>
  clock: Clock
}): Notifications => {
  const { store, jobQueue, apps, clock } = deps
  const cancellations = createCancellations(deps)
  // Only to keep a text: nobody gets it from here.
  const fanOut = createFanOut({ store, apps, limits: UNLIMITED, cancellations, clock })
  const schedule = createSchedule({ jobQueue })
  const broadcasts = createBroadcasts({ jobQueue, cancellations, clock })

  const isOver = (status: Progress['status'] | undefined) =>
    status === undefined || status === 'done' || status === 'cancelled' || status === 'expired'

  const shownScheduled = ({ message, deliverAt, ...named }: ScheduledNotification): SentNotification => {
    const { type, title, body, icon, url, collapseKey = null } = message
    const { projectId, domain, id } = named
    return {
      ...{ projectId, domain, id },
      status: 'scheduled',
      content: { type, title, body, icon, url },
      collapseKey,
      createdAt: null,
      deliverAt,
      deliverBy: null,
      expiresAt: null,
      counts: NONE,
    }
  }

  const shown = async (kept: Notification): Promise<SentNotification> => {
    const { projectId, domain, id, type, title, body, icon, url } = kept
    const [counts, isCancelled, progress] = await Promise.all([
      store.receiptCounts(kept),
      cancellations.has(kept),
      broadcasts.progress(kept),
    ])
    const isGoing = counts.queued > 0 || !isOver(progress?.status)
    return {
      ...{ projectId, domain, id },
      status: isCancelled ? 'cancelled' : isGoing ? 'queued' : 'done',
      content: { type, title, body, icon, url },
      collapseKey: kept.collapseKey ?? null,
      createdAt: kept.createdAt,
      deliverAt: null,
      deliverBy: kept.deliverBy,
      expiresAt: kept.expiresAt,
      counts,
    }
  }

  /** What is there under the id: kept, waiting for its time, or both when it is of several calls. */
  const locate = async ({ projectId, id, domain }: Named) => {
    if (id.length > LONGEST_ID) throw noSuch()
    for (const app of await appsOf(apps, projectId, domain)) {
      const name = { projectId, domain: app.domain, id }
      const [kept, scheduled, progress] = await Promise.all([
        store.notification(projectId, app.domain, id),
        schedule.find(name),
        broadcasts.progress(name),
      ])
      const there = kept && kept.expiresAt > clock.now() ? kept : undefined
      if (there || scheduled || progress) return { app, name, kept: there, scheduled, progress }
    }
    throw noSuch()
  }

  /** A cancelled one is kept, so that it can be looked at, and so that nothing else is sent under its id. */
  const keep = (app: AppRecord, { name, scheduled, progress }: Awaited<ReturnType<typeof locate>>) => {
    const message = scheduled?.message ?? progress?.message
    if (!message) throw noSuch()
    return fanOut.keep(app, name.id, message)
  }

  return {
    async list(projectId, { domain, scheduled, after, limit }) {
      // Refuses what is no app of the project.
      if (domain !== undefined) await appsOf(apps, projectId, domain)
      if (scheduled) {
        if (after !== undefined && !/^[0-9a-f]{64}$/.test(after)) {
          throw new ProtocolError('bad_params', 'must be what `next` said', { field: 'after' })
        }
        const page = await schedule.list(projectId, { domain, after, limit })
        return { notifications: page.scheduled.map(shownScheduled), next: page.next }
      }
      const page = await store.notifications(projectId, {
        limit,
        ...(domain !== undefined && { domain }),
        ...(after !== undefined && { after }),
      })
      const now = clock.now()
      const live = page.notifications.filter(({ expiresAt }) => expiresAt > now)
      return { notifications: await Promise.all(live.map(shown)), next: page.next }
    },

    async find(named) {
      const { kept, scheduled, name, progress } = await locate(named)
      if (kept) return shown(kept)
      if (scheduled) return shownScheduled(scheduled)
      if (!progress) throw noSuch()
      const status = progress.status === 'running' ? ('queued' as const) : 'scheduled'
      const { message, startAt: deliverAt } = progress
      return { ...shownScheduled({ ...name, accounts: [], message, deliverAt }), status }
    },

    async receipts(named, { state, after, limit }) {
      const { name } = await locate(named)
      const receipts = await store.receipts(name, {
        limit,
        ...(state !== undefined && { state }),
        ...(after !== undefined && { after }),
      })
      return { receipts, next: receipts.length < limit ? null : (receipts.at(-1)?.accountKey ?? null) }
    },

    async broadcast(named) {
      const { name, progress } = await locate(named)
      if (!progress) throw noSuch()
      return { progress, counts: await store.receiptCounts(name) }
    },

    async cancel(named) {
      const found = await locate(named)
      const { app, name, scheduled, progress } = found
      const counts = await store.receiptCounts(name)
      // It has left already.
      if (!scheduled && isOver(progress?.status) && counts.queued === 0) return 0
      const kept = found.kept ?? (await keep(app, found))
      await cancellations.note(name, kept.expiresAt)
      const accounts = new Map((scheduled?.accounts ?? []).map((account) => [accountKey(account), account]))
      if (accounts.size > 0) {
        const failures = [...accounts].map(([key, account]) => ({
          accountKey: key,
          account,
          reason: CANCELLED,
        }))
        await store.refuse(name, failures, clock.now())
        await schedule.drop(name)
      }
      return accounts.size + (await cancellations.takeBack(name))
    },
  }
}
