/**
 * Broadcasts: a notification to all subscribers of an app that want its type, without naming them.
 *
 * A broadcast is a durable job with a cursor over the subscribers. One page is fanned out at a time, then the cursor is
 * stored. After a crash the same page comes again, and subscribers that have the notification are skipped.
 *
 * A broadcast delays others only a little: the next page is fanned out when the outbox is short. So other notifications
 * have at most `SHORT_OUTBOX_SIZE + SUBSCRIBER_PAGE_SIZE` entries before them (and a page for each further process), beside
 * the batches that `outbox/direct-sends` has room for.
 * Projects take turns, page by page; the broadcasts of one project go one after another, the oldest first.
 *
 * | status    | when                                                                                      |
 * |-----------|-------------------------------------------------------------------------------------------|
 * | scheduled | its time has not come                                                                     |
 * | running   | it is being fanned out, or waits for its turn                                             |
 * | done      | every page was fanned out; `receipts` say what became of it                               |
 * | cancelled | no further page is fanned out, and queued copies were withdrawn                           |
 * | expired   | its `ttl` ended before the last page                                                      |
 */
import * as z from 'zod'
import { invariant } from '../../platform/invariant.ts'
import { withBody } from '../../platform/jobs/job-body.ts'
import { createWorker, type Job, type JobOutcome, type JobQueue } from '../../platform/jobs/job-queue.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import type { Limits } from '../apps/limits.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import type { DirectSends } from '../outbox/direct-sends.ts'
import type { NotificationName } from '../store/receipts.ts'
import type { AppRecord, NotifyStore } from '../store/store.ts'
import { type Cancellations, createCancellations, notificationKey } from './cancellation.ts'
import { createFanOut, type FanOut } from './fan-out.ts'
import { Message } from './store-notification.ts'

export const BROADCASTS_QUEUE = 'notify broadcasts'
/** Broadcasts that are over, for `progress`: jobs without a worker. */
export const BROADCASTS_ENDED_QUEUE = 'notify broadcasts ended'
/** As many as the outbox worker takes at once. */
const SUBSCRIBER_PAGE_SIZE = 200
/** An outbox with fewer entries is short. */
const SHORT_OUTBOX_SIZE = 400
/** How often a long outbox is polled, and for how long before another broadcast gets its turn. */
const OUTBOX_POLL_MS = 25
const OUTBOX_TIMEOUT_MS = 5_000
const LEASE_MS = 20_000
const RETRY_AFTER_MS = 5_000
/** A broadcast that is not its project's next one waits this long. */
const NOT_NEXT_PAUSE_MS = 1_000
/** Broadcasts of one project that are not over. */
const MAX_BROADCASTS_PER_PROJECT = 100

const BroadcastBody = z.object({
  domain: z.string(),
  id: z.string(),
  message: Message,
  startAt: z.number(),
  after: z.string().optional(),
  /** Subscribers when it began. */
  total: z.number().optional(),
  handed: z.number(),
  skipped: z.number(),
})
type BroadcastBody = z.infer<typeof BroadcastBody>
const EndedBody = BroadcastBody.extend({
  status: z.enum(['done', 'cancelled', 'expired']),
  endedAt: z.number(),
})
type EndedBody = z.infer<typeof EndedBody>

export interface Progress extends NotificationName {
  status: 'scheduled' | 'running' | 'done' | 'cancelled' | 'expired'
  message: Message
  startAt: number
  endedAt: number | null
  /** Subscribers when it began; null before. Some may come and go meanwhile. */
  total: number | null
  handed: number
  /** Subscribers who do not want the type, or whose subscription is over. */
  skipped: number
}

export interface Broadcasts {
  /** Durable when it resolves. An existing broadcast with this id stays as it is. */
  start(
    app: AppRecord,
    broadcast: { id: string; message: Message; startAt: number },
  ): Promise<Progress['status']>
  progress(name: NotificationName): Promise<Progress | undefined>
}

export const createBroadcasts = (deps: {
  jobQueue: JobQueue
  cancellations: Pick<Cancellations, 'has'>
  clock: Clock
}): Broadcasts => {
  const { jobQueue, cancellations, clock } = deps

  const progress: Broadcasts['progress'] = async (name) => {
    const id = notificationKey(name)
    // In this order: an ended broadcast is added to its queue before it leaves the other.
    const running = await jobQueue.job(BROADCASTS_QUEUE, id)
    const ended = await jobQueue.job(BROADCASTS_ENDED_QUEUE, id)
    if (ended) {
      const { after: _, total = null, ...body } = EndedBody.parse(ended.body)
      return { ...body, total, projectId: name.projectId }
    }
    if (!running) return undefined
    const { after: _, total = null, ...body } = BroadcastBody.parse(running.body)
    const isCancelled = await cancellations.has(name)
    const status = isCancelled ? 'cancelled' : body.startAt > clock.now() ? 'scheduled' : 'running'
    return { ...body, status, endedAt: null, total, projectId: name.projectId }
  }

  return {
    progress,

    async start(app, { id, message, startAt }) {
      const name = { projectId: app.projectId, domain: app.domain, id }
      if (!app.types.some((type) => type.id === message.type)) {
        throw new ProtocolError('bad_params', 'the app has no such type', { field: 'notification.type' })
      }
      const known = await progress(name)
      if (known) return known.status
      if ((await jobQueue.count(BROADCASTS_QUEUE, app.projectId)).waiting >= MAX_BROADCASTS_PER_PROJECT) {
        throw new ProtocolError('rate_limited', `at most ${MAX_BROADCASTS_PER_PROJECT} broadcasts at a time`)
      }
      const body: BroadcastBody = { domain: app.domain, id, message, startAt, handed: 0, skipped: 0 }
      const job = {
        queue: BROADCASTS_QUEUE,
        id: notificationKey(name),
        group: app.projectId,
        attempts: 0,
        body,
      }
      await jobQueue.add([{ ...job, at: startAt, expiresAt: startAt + 2 * NOTIFICATION_TTL_MS }])
      return (await progress(name))?.status ?? 'running'
    },
  }
}

export interface BroadcasterDeps {
  jobQueue: JobQueue
  store: NotifyStore
  direct: DirectSends
  apps: Pick<Apps, 'projects'>
  limits: Limits
  clock: Clock
  log: Log
  meter: Meter
}

/** Whether a broadcast may have its next page now. */
const createTurns = ({ jobQueue, store, clock }: Pick<BroadcasterDeps, 'jobQueue' | 'store' | 'clock'>) => ({
  /** Whether no other broadcast of the project goes before it. */
  async isNext({ group, id }: Job, { startAt }: BroadcastBody): Promise<boolean> {
    const now = clock.now()
    const all = await jobQueue.list(BROADCASTS_QUEUE, {
      group,
      dead: false,
      limit: MAX_BROADCASTS_PER_PROJECT,
    })
    return all.every((other) => {
      const { data: theirs } = BroadcastBody.safeParse(other.body)
      // A body that cannot be parsed fails in its own turn.
      if (other.id === id || !theirs || theirs.startAt > now) return true
      return theirs.startAt === startAt ? other.id > id : theirs.startAt > startAt
    })
  },

  async isOutboxShort(signal: AbortSignal): Promise<boolean> {
    for (const end = clock.now() + OUTBOX_TIMEOUT_MS; clock.now() < end && !signal.aborted; ) {
      if ((await store.outboxSize()) < SHORT_OUTBOX_SIZE) return true
      await pause(clock, OUTBOX_POLL_MS, signal)
    }
    return false
  },
})

/** Fans out the next page. Returns how far the broadcast is then, and whether that was its last page. */
const createNextPage =
  ({ store, fanOut, clock }: { store: NotifyStore; fanOut: FanOut; clock: Clock }) =>
  async (
    app: AppRecord,
    body: BroadcastBody,
  ): Promise<{ next: BroadcastBody; status?: EndedBody['status'] }> => {
    const notification = await fanOut.storeNotification(app, body.id, body.message, body.startAt)
    const total = body.total ?? (await store.subscriberCount(body.domain))
    if (notification.deliverBy <= clock.now()) return { next: { ...body, total }, status: 'expired' }
    const { after } = body
    const page = await store.subscribers(body.domain, {
      limit: SUBSCRIBER_PAGE_SIZE,
      ...(after !== undefined && { after }),
    })
    const cursor = page.at(-1)?.accountKey
    invariant(cursor === undefined || cursor !== after, 'The cursor of a broadcast moves on with each page')
    const { handed, skipped } = await fanOut.toSubscribers(app, notification, page)
    invariant(handed + skipped === page.length, 'Each subscriber of a page is enqueued or skipped')
    const next = {
      ...body,
      total,
      after: cursor ?? after,
      handed: body.handed + handed,
      skipped: body.skipped + skipped,
    }
    return page.length < SUBSCRIBER_PAGE_SIZE ? { next, status: 'done' } : { next }
  }

/** Fans broadcasts out, in turns. */
export const createBroadcaster = (deps: BroadcasterDeps): AsyncDisposable => {
  const { jobQueue, store, clock } = deps
  const cancellations = createCancellations(deps)
  const fanOut = createFanOut({ ...deps, cancellations })
  const turns = createTurns({ jobQueue, store, clock })
  const fanOutNextPage = createNextPage({ store, fanOut, clock })

  const again = ({ id }: Job, delayMs: number, body: BroadcastBody): JobOutcome => {
    return { id, kind: 'again', at: clock.now() + delayMs, attempts: 0, body }
  }

  /** Added to the ended ones first: a process that dies after that finds it there, and the broadcast is over. */
  const end = async (job: Job, status: EndedBody['status'], last: BroadcastBody): Promise<JobOutcome> => {
    const now = clock.now()
    const ended: EndedBody = { ...last, status, endedAt: now }
    const entry = { queue: BROADCASTS_ENDED_QUEUE, id: job.id, group: job.group, attempts: 0, body: ended }
    await jobQueue.add([{ ...entry, at: now + NOTIFICATION_TTL_MS, expiresAt: now + NOTIFICATION_TTL_MS }])
    return { id: job.id, kind: 'done' }
  }

  const work = async (body: BroadcastBody, job: Job, signal: AbortSignal): Promise<JobOutcome> => {
    const name = { projectId: job.group, domain: body.domain, id: body.id }
    if (await jobQueue.job(BROADCASTS_ENDED_QUEUE, job.id)) return { id: job.id, kind: 'done' }
    const app = await store.app(body.domain)
    // The app may be gone, or belong to another project now: then nothing is sent in its name.
    if (app?.projectId !== job.group) return end(job, 'cancelled', body)
    if (await cancellations.has(name)) {
      await cancellations.withdrawQueued(name)
      return end(job, 'cancelled', body)
    }
    if (!(await turns.isNext(job, body))) return again(job, NOT_NEXT_PAUSE_MS, body)
    if (!(await turns.isOutboxShort(signal))) return again(job, 0, body)

    const { next, status } = await fanOutNextPage(app, body)
    if (status === 'expired') return end(job, status, next)
    // Cancelled during the fan-out.
    if (await cancellations.has(name)) {
      await cancellations.withdrawQueued(name)
      return end(job, 'cancelled', next)
    }
    return status ? end(job, status, next) : again(job, 0, next)
  }

  // One page at a time, so that projects take turns.
  return createWorker(deps, {
    queue: BROADCASTS_QUEUE,
    concurrency: 1,
    lease: LEASE_MS,
    retryAfter: RETRY_AFTER_MS,
    work: withBody(BroadcastBody, work),
  })
}
