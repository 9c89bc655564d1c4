/**
 * How push tells the notify server what providers were handed of its notifications: by durable jobs, because they may be in
 * different processes. The message itself stays where it is, in its mailbox.
 */
import * as z from 'zod'
import type { PushedMessage } from '../../notify/outbox/push-receipts.ts'
import { withBody } from '../../platform/jobs/job-body.ts'
import { createWorker, type Job } from '../../platform/jobs/job-queue.ts'
import { DAY_MS } from '../../platform/units.ts'
import { NOTIFY_METHODS } from '../../protocol/notify-methods.ts'
import type { PushReport, Told } from '../../push/delivery/sender.ts'
import type { RoomContext } from '../context.ts'

const QUEUE = 'push-reports'
const NOTIFICATION_TAG = NOTIFY_METHODS[4002].requestTag
const REPORT_LIFE_MS = DAY_MS
const MAX_CONCURRENT_REPORTS = 32
const LEASE_MS = 30_000
const RETRY_MS = 5_000

const Report = z.object({
  topic: z.string(),
  id: z.string(),
  state: z.enum(['pushed', 'refused']),
  provider: z.string(),
  at: z.number(),
  reason: z.string().exactOptional(),
})

/** One job for a message and what became of it, however many devices there are. */
const jobOf = ({ topic, id, outcome: state, provider, at, reason }: PushReport): Job => ({
  queue: QUEUE,
  id: `${state}.${topic}.${id}`,
  group: QUEUE,
  at,
  expiresAt: at + REPORT_LIFE_MS,
  attempts: 0,
  body: { topic, id, state, provider, at, ...(reason !== undefined && { reason }) },
})

/** Only of notifications that the notify server of this store published: nobody has receipts of anything else. */
export const createTold =
  ({ stores }: Pick<RoomContext, 'stores'>, { notifyClient }: { notifyClient: string }): Told =>
  async (reports) => {
    const jobs = reports
      .filter(({ tag, publisher }) => tag === NOTIFICATION_TAG && publisher === notifyClient)
      .map(jobOf)
    if (jobs.length > 0) await stores.jobQueue.add(jobs)
  }

/** Has the notify server of this process take what push tells. */
export const takePushReports = (
  { stores, clock, log, metrics: meter }: RoomContext,
  take: (one: PushedMessage) => Promise<void>,
): AsyncDisposable =>
  createWorker(
    { jobQueue: stores.jobQueue, clock, log, meter },
    {
      ...{ queue: QUEUE, concurrency: MAX_CONCURRENT_REPORTS, lease: LEASE_MS, retryAfter: RETRY_MS },
      work: withBody(Report, async ({ topic, id, state, provider, at, reason }, job) => {
        const message = await stores.relay.message(topic, id, clock.now())
        const push = { state, provider, at, ...(reason !== undefined && { reason }) }
        if (message) await take({ topic, message: message.message, push })
        return { id: job.id, kind: 'done' }
      }),
    },
  )
