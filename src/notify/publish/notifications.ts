/**
 * What became of notifications, and their cancellation. Their ids come from the dapp and are unique per app. Where several
 * apps of a project use one id, the caller names the app; otherwise the oldest app that has it is meant.
 *
 * | status    | when                                                        |
 * |-----------|-------------------------------------------------------------|
 * | scheduled | its time has not come                                       |
 * | queued    | some messages have not left yet                             |
 * | done      | otherwise; `counts` say what became of it                   |
 * | cancelled | it was cancelled; messages that had left before do arrive   |
 */
import { invariant } from '../../platform/invariant.ts'
import type { JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Extras } from '../../protocol/notify/extras.ts'
import type { Apps } from '../apps/apps.ts'
import type { ActionAnswer } from '../store/action-answers.ts'
import type { PushCounts, Pushed } from '../store/pushes.ts'
import { CANCELLED, type DeliveryState, type NotificationName, type Receipt } from '../store/receipts.ts'
import type { AppRecord, Notification, NotifyStore } from '../store/store.ts'
import { type Broadcasts, createBroadcasts, type Progress } from './broadcasts.ts'
import { type Cancellations, createCancellations } from './cancellation.ts'
import { appsOf } from './resolve-app.ts'
import { createSchedule, type Schedule, type ScheduledNotification } from './schedule.ts'
import { createStoreNotification } from './store-notification.ts'

type Counts = Record<DeliveryState, number>

export interface SentNotification extends NotificationName {
  status: 'scheduled' | 'queued' | 'done' | 'cancelled'
  content: Pick<Notification, 'type' | 'title' | 'body' | 'icon' | 'url'> & Extras
  collapseKey: string | null
  /** Null while it is only scheduled. */
  createdAt: number | null
  /** When it is due, while it is scheduled. */
  deliverAt: number | null
  deliverBy: number | null
  expiresAt: number | null
  counts: Counts
  /** Accounts by what became of their pushes. */
  push: PushCounts
  /** Accounts by their answer, where the notification asks for one. */
  answers?: Record<string, number>
}

export interface Named {
  projectId: string
  id: string
  domain?: string | undefined
}

/** A name without a notification throws `not_found`. */
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
  ): Promise<{ receipts: (Receipt & { push?: Pushed; answer?: ActionAnswer })[]; next: string | null }>
  broadcast(named: Named): Promise<{ progress: Progress; counts: Counts }>
  /**
   * Stops the fan-out and withdraws what is still queued; returns from how many accounts. Messages that have left, or are
   * leaving, arrive.
   */
  cancel(named: Named): Promise<number>
}

const NO_PUSHES: PushCounts = { pushed: 0, refused: 0 }
const NO_COUNTS: Counts = { queued: 0, published: 0, delivered: 0, read: 0, failed: 0 }
/** 255 characters may be twice as many UTF-16 units. */
const MAX_ID_LENGTH = 510
const notFound = () => new ProtocolError('not_found', 'no such notification')

/** Ids of the actions that ask for an answer. */
const answersAsked = ({ extras }: Notification): string[] =>
  (extras?.actions ?? []).flatMap((action) => ('answer' in action ? [action.id] : []))

const isOver = (status: Progress['status'] | undefined): boolean =>
  status === undefined || status === 'done' || status === 'cancelled' || status === 'expired'

const shownScheduled = ({ message, deliverAt, ...named }: ScheduledNotification): SentNotification => {
  const { type, title, body, icon, url, extras, collapseKey = null } = message
  const { projectId, domain, id } = named
  return {
    ...{ projectId, domain, id },
    status: 'scheduled',
    content: { type, title, body, icon, url, ...extras },
    collapseKey,
    createdAt: null,
    deliverAt,
    deliverBy: null,
    expiresAt: null,
    counts: NO_COUNTS,
    push: NO_PUSHES,
  }
}

interface NotificationsDeps {
  store: NotifyStore
  jobQueue: JobQueue
  apps: Pick<Apps, 'list' | 'projects'>
  clock: Clock
}

/** What exists under an id: stored, scheduled, or both when it comes from several calls. */
interface Located {
  app: AppRecord
  name: NotificationName
  stored: Notification | undefined
  scheduled: ScheduledNotification | undefined
  progress: Progress | undefined
}

const createShown =
  ({
    store,
    cancellations,
    broadcasts,
  }: {
    store: Pick<NotifyStore, 'receiptCounts' | 'pushCounts' | 'answerCounts'>
    cancellations: Pick<Cancellations, 'has'>
    broadcasts: Pick<Broadcasts, 'progress'>
  }) =>
  async (stored: Notification): Promise<SentNotification> => {
    const { projectId, domain, id, type, title, body, icon, url, extras } = stored
    const asked = answersAsked(stored)
    const [counts, isCancelled, progress, push, answers] = await Promise.all([
      store.receiptCounts(stored),
      cancellations.has(stored),
      broadcasts.progress(stored),
      store.pushCounts(stored),
      asked.length > 0 ? store.answerCounts(stored, asked) : undefined,
    ])
    invariant(counts.queued >= 0, 'The count of queued receipts is never below zero')
    const isUnderWay = counts.queued > 0 || !isOver(progress?.status)
    return {
      ...{ projectId, domain, id },
      status: isCancelled ? 'cancelled' : isUnderWay ? 'queued' : 'done',
      content: { type, title, body, icon, url, ...extras },
      collapseKey: stored.collapseKey ?? null,
      createdAt: stored.createdAt,
      deliverAt: null,
      deliverBy: stored.deliverBy,
      expiresAt: stored.expiresAt,
      counts,
      push,
      ...(answers && { answers }),
    }
  }

const createLocate =
  ({
    store,
    apps,
    schedule,
    broadcasts,
    clock,
  }: Pick<NotificationsDeps, 'store' | 'apps' | 'clock'> & { schedule: Schedule; broadcasts: Broadcasts }) =>
  async ({ projectId, id, domain }: Named): Promise<Located> => {
    if (id.length > MAX_ID_LENGTH) throw notFound()
    for (const app of await appsOf(apps, projectId, domain)) {
      const name = { projectId, domain: app.domain, id }
      const [found, scheduled, progress] = await Promise.all([
        store.notification(projectId, app.domain, id),
        schedule.find(name),
        broadcasts.progress(name),
      ])
      const stored = found && found.expiresAt > clock.now() ? found : undefined
      if (stored || scheduled || progress) return { app, name, stored, scheduled, progress }
    }
    throw notFound()
  }

const createCancel = (
  { store, apps, clock }: NotificationsDeps,
  {
    cancellations,
    schedule,
    locate,
  }: { cancellations: Cancellations; schedule: Schedule; locate: ReturnType<typeof createLocate> },
): Notifications['cancel'] => {
  const storeNotification = createStoreNotification({ store, apps, clock })

  /** A cancelled notification is stored, so that it can be shown and nothing else is sent under its id. */
  const storeCancelled = ({ app, name, scheduled, progress }: Located): Promise<Notification> => {
    const message = scheduled?.message ?? progress?.message
    if (!message) throw notFound()
    return storeNotification(app, name.id, message)
  }

  return async (named) => {
    const found = await locate(named)
    const { name, scheduled, progress } = found
    const counts = await store.receiptCounts(name)
    // All of it has left already.
    if (!scheduled && isOver(progress?.status) && counts.queued === 0) return 0
    const stored = found.stored ?? (await storeCancelled(found))
    await cancellations.note(name, stored.expiresAt)
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
    return accounts.size + (await cancellations.withdrawQueued(name))
  }
}

export const createNotifications = (deps: NotificationsDeps): Notifications => {
  const { store, jobQueue, apps, clock } = deps
  const cancellations = createCancellations(deps)
  const schedule = createSchedule({ jobQueue })
  const broadcasts = createBroadcasts({ jobQueue, cancellations, clock })
  const shown = createShown({ store, cancellations, broadcasts })
  const locate = createLocate({ store, apps, schedule, broadcasts, clock })

  return {
    cancel: createCancel(deps, { cancellations, schedule, locate }),

    async list(projectId, { domain, scheduled, after, limit }) {
      // Throws for a domain that is no app of the project.
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
      const { stored, scheduled, name, progress } = await locate(named)
      if (stored) return shown(stored)
      if (scheduled) return shownScheduled(scheduled)
      if (!progress) throw notFound()
      const status = progress.status === 'running' ? ('queued' as const) : 'scheduled'
      const { message, startAt: deliverAt } = progress
      return { ...shownScheduled({ ...name, accounts: [], message, deliverAt }), status }
    },

    async receipts(named, { state, after, limit }) {
      const { name, stored } = await locate(named)
      const found = await store.receipts(name, {
        limit,
        ...(state !== undefined && { state }),
        ...(after !== undefined && { after }),
      })
      const keys = found.map((one) => one.accountKey)
      const pushes = stored ? await store.pushesOf(stored, keys) : new Map<string, Pushed>()
      const hasAnswers = stored !== undefined && answersAsked(stored).length > 0
      const answers = hasAnswers ? await store.answersOf(stored, keys) : new Map<string, ActionAnswer>()
      const receipts = found.map((receipt) => {
        const push = pushes.get(receipt.accountKey)
        const answer = answers.get(receipt.accountKey)
        return { ...receipt, ...(push && { push }), ...(answer && { answer }) }
      })
      return { receipts, next: receipts.length < limit ? null : (receipts.at(-1)?.accountKey ?? null) }
    },

    async broadcast(named) {
      const { name, progress } = await locate(named)
      if (!progress) throw notFound()
      return { progress, counts: await store.receiptCounts(name) }
    },
  }
}
