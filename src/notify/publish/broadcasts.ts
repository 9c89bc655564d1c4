/**
 * Broadcasts: a notification to all subscribers of an app who want its type, without naming them.
 *
 * A broadcast is a durable job with a cursor over the subscribers. One page is handed over at a time, then the cursor is
 * kept: after a crash the same page comes again, and who has it gets it no second time.
 *
 * Nobody waits behind a broadcast: the next page is handed over only when the outbox is short, so that what others send
 * meanwhile has at most `SHORT + PAGE` entries before it (`PAGE` more for each further process). Projects take turns,
 * page by page; the broadcasts of one project go one after another, the oldest first.
 *
 * | status    | when                                                                                      |
 * |-----------|-------------------------------------------------------------------------------------------|
 * | scheduled | its time has not come                                                                     |
 * | running   | it is being handed over, or waits for its turn                                            |
 * | done      | everybody had their page; `receipts` tell what became of it                               |
 * | cancelled | nothing more is handed over, and what was still queued was taken back                     |
 * | expired   | its `ttl` ended before everybody had their page                                           |
 */
import { z } from 'zod'
import { createWorker, type Job, type JobOutcome, type JobQueue } from '../../platform/jobs/job-queue.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import type { Limits } from '../apps/limits.ts'
import type { NotificationName } from '../store/receipts.ts'
import type { AppRecord, NotifyStore } from '../store/store.ts'
import { type Cancellations, createCancellations, keyOf } from './cancellation.ts'
import { createFanOut, Message, TTL } from './fan-out.ts'

export const BROADCASTS_QUEUE = 'notify broadcasts'
/** Those that are over, to be looked at: jobs that nobody works on. */
export const BROADCASTS_ENDED_QUEUE = 'notify broadcasts ended'
/** Subscribers in a page: as many as delivery takes at once. */
const PAGE = 200
/** An outbox with fewer entries is short. */
const SHORT = 400
/** How often a long outbox is looked at, and how long before the next one may try, ms. */
const LOOK_EVERY = 25
const PATIENCE = 5_000
const LEASE = 20_000
const RETRY_AFTER = 5_000
/** How long one waits that is not its project's next, ms. */
const WAIT = 1_000
/** Broadcasts of one project that are not over. */
const MOST = 100

const Body = z.object({
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
type Body = z.infer<typeof Body>
const Ended = Body.extend({ status: z.enum(['done', 'cancelled', 'expired']), endedAt: z.number() })

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
  /** Durable when it resolves. A broadcast with this id that is there already stays as it is. */
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
    const id = keyOf(name)
    // In this order: it is entered among the ended before it leaves the others.
    const running = await jobQueue.job(BROADCASTS_QUEUE, id)
    const ended = await jobQueue.job(BROADCASTS_ENDED_QUEUE, id)
    if (ended) {
      const { after: _, total = null, ...body } = Ended.parse(ended.body)
      return { ...body, total, projectId: name.projectId }
    }
    if (!running) return undefined
    const { after: _, total = null, ...body } = Body.parse(running.body)
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
      if ((await jobQueue.count(BROADCASTS_QUEUE, app.projectId)).waiting >= MOST) {
        throw new ProtocolError('rate_limited', `at most ${MOST} broadcasts at a time`)
      }
      const body: Body = { domain: app.domain, id, message, startAt, handed: 0, skipped: 0 }
      const job = { queue: BROADCASTS_QUEUE, id: keyOf(name), group: app.projectId, attempts: 0, body }
      await jobQueue.add([{ ...job, at: startAt, expiresAt: startAt + 2 * TTL }])
      return (await progress(name))?.status ?? 'running'
    },
  }
}

/** Hands broadcasts over, in turns. */
export const createBroadcaster = (deps: {
  jobQueue: JobQueue
  store: NotifyStore
  apps: Pick<Apps, 'projects'>
  limits: Limits
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { jobQueue, store, apps, limits, clock } = deps
  const cancellations = createCancellations(deps)
  const fanOut = createFanOut({ store, apps, limits, cancellations, clock })

  /** Whether no other one of the project goes before it. */
  const isNext = async ({ group, id }: Job, { startAt }: Body): Promise<boolean> => {
    const now = clock.now()
    const all = await jobQueue.list(BROADCASTS_QUEUE, { group, dead: false, limit: MOST })
    return all.every((other) => {
      const theirs = Body.parse(other.body)
      if (other.id === id || theirs.startAt > now) return true
      return theirs.startAt === startAt ? other.id > id : theirs.startAt > startAt
    })
  }

  const outboxIsShort = async (signal: AbortSignal): Promise<boolean> => {
    for (const end = clock.now() + PATIENCE; clock.now() < end && !signal.aborted; ) {
      if ((await store.outboxSize()) < SHORT) return true
      await pause(clock, LOOK_EVERY, signal)
    }
    return false
  }

  const work = async (job: Job, signal: AbortSignal): Promise<JobOutcome> => {
    const body = Body.parse(job.body)
    const name = { projectId: job.group, domain: body.domain, id: body.id }
    const again = (delay: number, next: Body = body): JobOutcome => {
      return { id: job.id, kind: 'again', at: clock.now() + delay, attempts: 0, body: next }
    }
    /** Entered among the ended first; who has died in between finds that, and it is over. */
    const end = async (status: z.infer<typeof Ended>['status'], last: Body = body): Promise<JobOutcome> => {
      const now = clock.now()
      const ended: z.infer<typeof Ended> = { ...last, status, endedAt: now }
      const entry = { queue: BROADCASTS_ENDED_QUEUE, id: job.id, group: job.group, attempts: 0, body: ended }
      await jobQueue.add([{ ...entry, at: now + TTL, expiresAt: now + TTL }])
      return { id: job.id, kind: 'done' }
    }

    if (await jobQueue.job(BROADCASTS_ENDED_QUEUE, job.id)) return { id: job.id, kind: 'done' }
    const app = await store.app(body.domain)
    // Without its app it is nobody's word.
    if (app?.projectId !== job.group) return end('cancelled')
    if (await cancellations.has(name)) {
      await cancellations.takeBack(name)
      return end('cancelled')
    }
    if (!(await isNext(job, body))) return again(WAIT)
    if (!(await outboxIsShort(signal))) return again(0)

    const kept = await fanOut.keep(app, body.id, body.message, body.startAt)
    const total = body.total ?? (await store.subscriberCount(body.domain))
    if (kept.deliverBy <= clock.now()) return end('expired', { ...body, total })
    const { after } = body
    const page = await store.subscribers(body.domain, { limit: PAGE, ...(after !== undefined && { after }) })
    const { handed, skipped } = await fanOut.toSubscribers(app, kept, page)
    const next: Body = {
      ...body,
      total,
      after: page.at(-1)?.accountKey ?? after,
      handed: body.handed + handed,
      skipped: body.skipped + skipped,
    }
    // Cancelled while the page was handed over.
    if (await cancellations.has(name)) {
      await cancellations.takeBack(name)
      return end('cancelled', next)
    }
    return page.length < PAGE ? end('done', next) : again(0, next)
  }

  // One page at a time, so that turns are turns.
  return createWorker(deps, {
    queue: BROADCASTS_QUEUE,
    concurrency: 1,
    lease: LEASE,
    retryAfter: RETRY_AFTER,
    work,
  })
}
