/**
 * Scheduled notifications. Each is a durable job: the message, and the accounts as the dapp wrote them. Who is subscribed
 * is decided when the job is due, and the notification is stored from then on. One notification may be several jobs, one
 * for each call, with the accounts of that call; its content is that of the first.
 */
import * as z from 'zod'
import { withBody } from '../../platform/jobs/job-body.ts'
import { createWorker, type Job, type JobOutcome, type JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { accountKey } from '../../protocol/caip.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { Apps } from '../apps/apps.ts'
import type { Limits } from '../apps/limits.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import type { DirectSends } from '../outbox/direct-sends.ts'
import { pagesOf } from '../pages.ts'
import type { NotificationName } from '../store/receipts.ts'
import type { NotifyStore } from '../store/store.ts'
import { createCancellations, notificationKey } from './cancellation.ts'
import { createFanOut } from './fan-out.ts'
import { Message } from './store-notification.ts'

export const SCHEDULED_QUEUE = 'notify scheduled'
const JOB_PAGE_SIZE = 100
const SCHEDULE_CONCURRENCY = 4
const LEASE_MS = 30_000
const RETRY_AFTER_MS = 5_000

const ScheduledBody = z.object({
  domain: z.string(),
  id: z.string(),
  message: Message,
  accounts: z.array(z.string()),
  deliverAt: z.number(),
})
type ScheduledBody = z.infer<typeof ScheduledBody>

export interface ScheduledNotification extends NotificationName {
  message: Message
  accounts: string[]
  deliverAt: number
}

export interface Schedule {
  /** Durable when it resolves. Idempotent. */
  add(scheduled: ScheduledNotification): Promise<void>
  find(name: NotificationName): Promise<ScheduledNotification | undefined>
  /** A page, in an order of its own that does not change; `after` is the `next` of the page before. */
  list(
    projectId: string,
    page: { domain?: string | undefined; after?: string | undefined; limit: number },
  ): Promise<{ scheduled: ScheduledNotification[]; next: string | null }>
  /** Removes it; a fan-out that is under way at this moment goes on. */
  drop(name: NotificationName): Promise<void>
  /** What is scheduled for the account, with the forms of that account alone, as the dapp wrote them. */
  ofAccount(projectId: string, accountKey: string): Promise<ScheduledNotification[]>
  /**
   * Removes the account from all scheduled jobs, and jobs for no other account. Returns from how many. A fan-out that is
   * under way at this moment goes on. Idempotent.
   */
  forgetAccount(projectId: string, accountKey: string): Promise<number>
}

/** All ids have one length, so their order is that of the texts. */
const ACCOUNTS_HASH_LENGTH = 16
const jobIdOf = (name: NotificationName, accounts: readonly string[]): string =>
  `${notificationKey(name)}.${topicOf(utf8(accounts.join('\n'))).slice(0, ACCOUNTS_HASH_LENGTH)}`
/** Cursors before and behind all jobs of a notification: '/' and ':' stand beside the digits, and 'g' behind 'f'. */
const beforeJobsOf = (key: string) => `${key}.${'/'.repeat(ACCOUNTS_HASH_LENGTH)}`
const behindJobsOf = (key: string) => `${key}.${'g'.repeat(ACCOUNTS_HASH_LENGTH)}`

/** The scheduled jobs of a project, in the order of their ids. */
const createScheduledJobs = ({ jobQueue }: { jobQueue: Pick<JobQueue, 'list'> }) => {
  async function* ofProject(projectId: string, start?: string) {
    const read = (page: { after?: string; limit: number }) =>
      jobQueue.list(SCHEDULED_QUEUE, { group: projectId, dead: false, ...page })
    for await (const page of pagesOf(JOB_PAGE_SIZE, read, (job) => job.id, start)) {
      for (const job of page) yield { job, body: ScheduledBody.parse(job.body) }
    }
  }

  async function* ofNotification(name: NotificationName) {
    const key = notificationKey(name)
    for await (const one of ofProject(name.projectId, beforeJobsOf(key))) {
      if (!one.job.id.startsWith(key)) return
      yield one
    }
  }

  return { ofProject, ofNotification }
}

/** What an operator asks about the account of a wallet. */
const createAccountSchedule = (
  jobQueue: Pick<JobQueue, 'add' | 'remove'>,
  jobs: ReturnType<typeof createScheduledJobs>,
): Pick<Schedule, 'ofAccount' | 'forgetAccount'> => ({
  async ofAccount(projectId, key) {
    const found: ScheduledNotification[] = []
    for await (const { body } of jobs.ofProject(projectId)) {
      const accounts = body.accounts.filter((one) => accountKey(one) === key)
      if (accounts.length > 0) found.push({ projectId, ...body, accounts })
    }
    return found
  },

  async forgetAccount(projectId, key) {
    let forgotten = 0
    for await (const { job, body } of jobs.ofProject(projectId)) {
      const accounts = body.accounts.filter((one) => accountKey(one) !== key)
      if (accounts.length === body.accounts.length) continue
      // The other accounts' job is added first: a process that dies here leaves one job too many, never none.
      const id = jobIdOf({ projectId, ...body }, accounts)
      if (accounts.length > 0) await jobQueue.add([{ ...job, id, body: { ...body, accounts } }])
      await jobQueue.remove(SCHEDULED_QUEUE, [job.id])
      forgotten += 1
    }
    return forgotten
  },
})

export const createSchedule = ({ jobQueue }: { jobQueue: JobQueue }): Schedule => {
  const jobs = createScheduledJobs({ jobQueue })
  return {
    ...createAccountSchedule(jobQueue, jobs),

    async add({ projectId, domain, id, message, accounts, deliverAt }) {
      const name = { projectId, domain, id }
      let first = message
      for await (const { body } of jobs.ofNotification(name)) {
        first = body.message
        break
      }
      const body: ScheduledBody = { domain, id, message: first, accounts: [...accounts], deliverAt }
      await jobQueue.add([
        {
          queue: SCHEDULED_QUEUE,
          id: jobIdOf(name, accounts),
          group: projectId,
          at: deliverAt,
          expiresAt: deliverAt + NOTIFICATION_TTL_MS,
          attempts: 0,
          body,
        },
      ])
    },

    async find(name) {
      let found: ScheduledNotification | undefined
      for await (const { body } of jobs.ofNotification(name)) {
        const accounts = [...(found?.accounts ?? []), ...body.accounts]
        const deliverAt = Math.min(found?.deliverAt ?? body.deliverAt, body.deliverAt)
        found = { ...name, message: body.message, accounts, deliverAt }
      }
      return found
    },

    async list(projectId, { domain, after, limit }) {
      const scheduled: ScheduledNotification[] = []
      let last: { key: string; entry: ScheduledNotification } | undefined
      const start = after === undefined ? undefined : behindJobsOf(after)
      for await (const { body } of jobs.ofProject(projectId, start)) {
        if (domain !== undefined && body.domain !== domain) continue
        const key = notificationKey(body)
        if (last?.key === key) {
          last.entry.accounts.push(...body.accounts)
          last.entry.deliverAt = Math.min(last.entry.deliverAt, body.deliverAt)
          continue
        }
        if (scheduled.length === limit) return { scheduled, next: last?.key ?? null }
        last = { key, entry: { projectId, ...body } }
        scheduled.push(last.entry)
      }
      return { scheduled, next: null }
    },

    async drop(name) {
      const ids: string[] = []
      for await (const { job } of jobs.ofNotification(name)) ids.push(job.id)
      if (ids.length > 0) await jobQueue.remove(SCHEDULED_QUEUE, ids)
    },
  }
}

/** Fans out what has become due. */
export const createScheduler = (deps: {
  jobQueue: JobQueue
  store: NotifyStore
  direct: DirectSends
  apps: Pick<Apps, 'projects'>
  limits: Limits
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { store } = deps
  const cancellations = createCancellations(deps)
  const fanOut = createFanOut({ ...deps, cancellations })

  const work = async (body: ScheduledBody, job: Job): Promise<JobOutcome> => {
    const { domain, id, message, accounts, deliverAt } = body
    const name = { projectId: job.group, domain, id }
    const app = await store.app(domain)
    // The app may be gone, or belong to another project now: then nothing is sent in its name.
    if (app?.projectId === job.group) {
      const notification = await fanOut.storeNotification(app, id, message, deliverAt)
      await fanOut.toAccounts(app, notification, accounts, true)
      // Cancelled during the fan-out.
      if (await cancellations.has(name)) await cancellations.withdrawQueued(name)
    }
    return { id: job.id, kind: 'done' }
  }

  return createWorker(deps, {
    queue: SCHEDULED_QUEUE,
    concurrency: SCHEDULE_CONCURRENCY,
    lease: LEASE_MS,
    retryAfter: RETRY_AFTER_MS,
    work: withBody(ScheduledBody, work),
  })
}
