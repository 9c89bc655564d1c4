/**
 * Notifications for later. What was scheduled is a durable job: the message, and the accounts as the dapp wrote them;
 * who is subscribed is decided when it is due. One notification may be several jobs, one a call, each with its accounts;
 * its content is that of the first. The notification itself is kept from the moment when it is due.
 */
import { z } from 'zod'
import { createWorker, type Job, type JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { accountKey } from '../../protocol/caip.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { Apps } from '../apps/apps.ts'
import type { Limits } from '../apps/limits.ts'
import type { NotificationName } from '../store/receipts.ts'
import type { NotifyStore } from '../store/store.ts'
import { createCancellations, keyOf } from './cancellation.ts'
import { createFanOut, Message, TTL } from './fan-out.ts'

/** How far ahead, ms. */
export const FARTHEST = 2_592_000_000
export const SCHEDULED_QUEUE = 'notify scheduled'
const PAGE = 100
const CONCURRENCY = 4
const LEASE = 30_000
const RETRY_AFTER = 5_000

const Body = z.object({
  domain: z.string(),
  id: z.string(),
  message: Message,
  accounts: z.array(z.string()),
  deliverAt: z.number(),
})

export interface ScheduledNotification extends NotificationName {
  message: Message
  accounts: string[]
  deliverAt: number
}

export interface Schedule {
  /** Durable when it resolves; the same again is nothing new. */
  add(scheduled: ScheduledNotification): Promise<void>
  find(name: NotificationName): Promise<ScheduledNotification | undefined>
  /** A page, in an order of its own that does not change; `after` is the `next` of the page before. */
  list(
    projectId: string,
    page: { domain?: string | undefined; after?: string | undefined; limit: number },
  ): Promise<{ scheduled: ScheduledNotification[]; next: string | null }>
  /** Takes it away; what is being handed over at this moment is not stopped by that. */
  drop(name: NotificationName): Promise<void>
  /** What waits for the account, with that account alone, in the forms in which the dapp wrote it. */
  ofAccount(projectId: string, accountKey: string): Promise<ScheduledNotification[]>
  /**
   * Takes the account away from all that waits, and what waits for nobody else; answers from how many. What is being
   * handed over at this moment is not stopped by that. Bears repetition.
   */
  forgetAccount(projectId: string, accountKey: string): Promise<number>
}

/** All ids have one length, so their order is that of the texts. */
const PART = 16
const idOf = (name: NotificationName, accounts: readonly string[]): string =>
  `${keyOf(name)}.${topicOf(utf8(accounts.join('\n'))).slice(0, PART)}`
/** Before and behind all parts of a notification: '/' and ':' stand beside the digits, and 'g' behind 'f'. */
const beforeParts = (key: string) => `${key}.${'/'.repeat(PART)}`
const behindParts = (key: string) => `${key}.${'g'.repeat(PART)}`

export const createSchedule = ({ jobQueue }: { jobQueue: JobQueue }): Schedule => {
  /** Jobs of a project in the order of their ids, from `after` on. */
  async function* jobsOf(projectId: string, start?: string) {
    for (let after = start; ; ) {
      const page = await jobQueue.list(SCHEDULED_QUEUE, { group: projectId, dead: false, after, limit: PAGE })
      for (const job of page) yield { job, body: Body.parse(job.body) }
      after = page.at(-1)?.id
      if (page.length < PAGE) return
    }
  }

  async function* partsOf(name: NotificationName) {
    const key = keyOf(name)
    for await (const part of jobsOf(name.projectId, beforeParts(key))) {
      if (!part.job.id.startsWith(key)) return
      yield part
    }
  }

  return {
    async add({ projectId, domain, id, message, accounts, deliverAt }) {
      const name = { projectId, domain, id }
      let first = message
      for await (const { body } of partsOf(name)) {
        first = body.message
        break
      }
      const body: z.infer<typeof Body> = { domain, id, message: first, accounts: [...accounts], deliverAt }
      await jobQueue.add([
        {
          queue: SCHEDULED_QUEUE,
          id: idOf(name, accounts),
          group: projectId,
          at: deliverAt,
          expiresAt: deliverAt + TTL,
          attempts: 0,
          body,
        },
      ])
    },

    async find(name) {
      let found: ScheduledNotification | undefined
      for await (const { body } of partsOf(name)) {
        const accounts = [...(found?.accounts ?? []), ...body.accounts]
        const deliverAt = Math.min(found?.deliverAt ?? body.deliverAt, body.deliverAt)
        found = { ...name, message: body.message, accounts, deliverAt }
      }
      return found
    },

    async list(projectId, { domain, after, limit }) {
      const scheduled: ScheduledNotification[] = []
      let last: { key: string; entry: ScheduledNotification } | undefined
      for await (const { body } of jobsOf(projectId, after === undefined ? undefined : behindParts(after))) {
        if (domain !== undefined && body.domain !== domain) continue
        const key = keyOf(body)
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
      for await (const { job } of partsOf(name)) ids.push(job.id)
      if (ids.length > 0) await jobQueue.remove(SCHEDULED_QUEUE, ids)
    },

    async ofAccount(projectId, key) {
      const found: ScheduledNotification[] = []
      for await (const { body } of jobsOf(projectId)) {
        const accounts = body.accounts.filter((one) => accountKey(one) === key)
        if (accounts.length > 0) found.push({ projectId, ...body, accounts })
      }
      return found
    },

    async forgetAccount(projectId, key) {
      let forgotten = 0
      for await (const { job, body } of jobsOf(projectId)) {
        const accounts = body.accounts.filter((one) => accountKey(one) !== key)
        if (accounts.length === body.accounts.length) continue
        // The others' job comes first: whoever dies between the two leaves them one too many, never none.
        const id = idOf({ projectId, ...body }, accounts)
        if (accounts.length > 0) await jobQueue.add([{ ...job, id, body: { ...body, accounts } }])
        await jobQueue.remove(SCHEDULED_QUEUE, [job.id])
        forgotten += 1
      }
      return forgotten
    },
  }
}

/** Hands over what has become due. */
export const createScheduler = (deps: {
  jobQueue: JobQueue
  store: NotifyStore
  apps: Pick<Apps, 'projects'>
  limits: Limits
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { store, apps, limits, clock } = deps
  const cancellations = createCancellations(deps)
  const fanOut = createFanOut({ store, apps, limits, cancellations, clock })

  const work = async (job: Job) => {
    const { domain, id, message, accounts, deliverAt } = Body.parse(job.body)
    const name = { projectId: job.group, domain, id }
    const app = await store.app(domain)
    // Without its app it is nobody's word.
    if (app?.projectId === job.group) {
      const kept = await fanOut.keep(app, id, message, deliverAt)
      await fanOut.toAccounts(app, kept, accounts, true)
      // Cancelled while it was being handed over.
      if (await cancellations.has(name)) await cancellations.takeBack(name)
    }
    return { id: job.id, kind: 'done' } as const
  }

  return createWorker(deps, {
    queue: SCHEDULED_QUEUE,
    concurrency: CONCURRENCY,
    lease: LEASE,
    retryAfter: RETRY_AFTER,
    work,
  })
}
