/**
 * Digests: one message in each slot that tells a subscriber what came since the last one. Nothing of it is in the way of a
 * notification: what needs a digest is looked up when the slot comes.
 *
 * Each slot is a durable job, one for an account and an app. It adds the job of the next slot before it is done. A job is planned
 * before the preference is committed, and checks it when it is due: where the preference has no such slot any more, or the
 * subscription has ended, it ends there. Two preferences may share a slot, and then its job. So a digest is sent at least once,
 * and its id follows from the slot: a wallet drops a repetition.
 */
import * as z from 'zod'
import { withBody } from '../../platform/jobs/job-body.ts'
import { createWorker, type Job, type JobOutcome, type JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { MAX_DIGEST_IDS } from '../../protocol/notify/digest.ts'
import { isQuiet } from '../../protocol/notify/extras.ts'
import type { Preferences } from '../../protocol/notify/preferences.ts'
import { topicOf } from '../../protocol/topic.ts'
import { SUBSCRIPTION_LIFETIME_MS } from '../lifetimes.ts'
import { pagesOf } from '../pages.ts'
import type { DeliveredNotification, NotifyStore, OutboxEntry, Subscription } from '../store/store.ts'
import { viewOf } from '../subscriptions/rules.ts'
import { isDigestSlot, nextDigest } from './digest-slots.ts'

const DIGESTS_QUEUE = 'notify digests'
const JOB_PAGE_SIZE = 100
const CONCURRENCY = 8
const LEASE_MS = 30_000
const RETRY_AFTER_MS = 5_000
/** An outbox with more entries is long: digests wait. */
const SHORT_OUTBOX_SIZE = 400
const LONG_OUTBOX_PAUSE_MS = 5_000
/** The first slot is at least so far away: by then the preference is committed. */
const FIRST_SLOT_AFTER_MS = 60_000
/** The copies of a broadcast come up to so much later than they say. */
const LATE_MS = 30 * 60_000
/** Unread copies that are looked at. */
const MAX_COUNTED = 100
/** Slots that an account may have planned: so many, and two for each subscription. */
const FREE_SLOTS = 24
const SLOTS_PER_SUBSCRIPTION = 2

const DigestBody = z.object({
  accountKey: z.string(),
  domain: z.string(),
  slot: z.number(),
  /** What came before was told of. */
  since: z.number(),
  /** Copies behind `since`, or up to `LATE_MS` before it, that were told of. */
  told: z.array(z.string()).max(MAX_COUNTED),
})
type DigestBody = z.infer<typeof DigestBody>

export interface Digests {
  /**
   * Before preferences with a digest are committed; durable when it resolves. Idempotent. Throws `rate_limited` for an account
   * that changes them all the time.
   */
  plan(subscriber: { accountKey: string; domain: string }, preferences: Preferences): Promise<void>
  ofAccount(accountKey: string): Promise<{ domain: string; at: number }[]>
  forgetAccount(accountKey: string): Promise<void>
}

const jobOf = (body: DigestBody): Job => ({
  queue: DIGESTS_QUEUE,
  id: `${topicOf(utf8(`${body.accountKey}\n${body.domain}`))}.${body.slot}`,
  group: body.accountKey,
  at: body.slot,
  // While no process runs, a subscription ends no later.
  expiresAt: body.slot + SUBSCRIPTION_LIFETIME_MS,
  attempts: 0,
  body,
})

export const createDigests = ({
  jobQueue,
  store,
  clock,
}: {
  jobQueue: Pick<JobQueue, 'add' | 'list' | 'remove' | 'count'>
  store: Pick<NotifyStore, 'account'>
  clock: Clock
}): Digests => {
  const jobsOf = (accountKey: string) => {
    const read = (page: { after?: string; limit: number }) =>
      jobQueue.list(DIGESTS_QUEUE, { group: accountKey, dead: false, ...page })
    return pagesOf(JOB_PAGE_SIZE, read, (job) => job.id)
  }
  const checkRoom = async (accountKey: string): Promise<void> => {
    const { waiting } = await jobQueue.count(DIGESTS_QUEUE, accountKey)
    if (waiting < FREE_SLOTS) return
    const { record } = await store.account(accountKey)
    if (waiting < FREE_SLOTS + SLOTS_PER_SUBSCRIPTION * record.subscriptions.length) return
    throw new ProtocolError('rate_limited', 'the digest was changed too often today')
  }

  return {
    async plan({ accountKey, domain }, preferences) {
      const now = clock.now()
      const slot = nextDigest(preferences, now + FIRST_SLOT_AFTER_MS)
      if (slot === undefined) return
      await checkRoom(accountKey)
      await jobQueue.add([jobOf({ accountKey, domain, slot, since: now, told: [] })])
    },

    async ofAccount(accountKey) {
      const found: { domain: string; at: number }[] = []
      for await (const page of jobsOf(accountKey)) {
        for (const { at, body } of page) found.push({ domain: DigestBody.parse(body).domain, at })
      }
      return found
    },

    async forgetAccount(accountKey) {
      for await (const page of jobsOf(accountKey)) {
        const ids = page.map(({ id }) => id)
        await jobQueue.remove(DIGESTS_QUEUE, ids)
      }
    },
  }
}

/** What has woken somebody by itself, or is to wake nobody, is in no digest. */
const belongs = ({ notification: { extras = {} } }: DeliveredNotification): boolean =>
  extras.priority !== 'urgent' && !isQuiet(extras)

const entryOf = (
  { accountKey, domain, slot }: DigestBody,
  { id: subscriptionId }: Subscription,
  copies: readonly DeliveredNotification[],
  { now, next }: { now: number; next: number },
): OutboxEntry => ({
  id: `digest:${subscriptionId}.${slot}`,
  task: {
    ...{ kind: 'digest', accountKey, subscriptionId, domain, slot },
    count: copies.length,
    ids: copies.slice(0, MAX_DIGEST_IDS).map(({ id }) => id),
  },
  createdAt: now,
  // The next one tells more.
  expiresAt: next,
})

/** Sends the digests that are due. */
export const createDigester = (deps: {
  jobQueue: JobQueue
  store: NotifyStore
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { jobQueue, store, clock } = deps

  const lateCopies = async (id: string, since: number, now: number): Promise<DeliveredNotification[]> => {
    const [unread = 0] = await store.unreadCounts([id])
    if (unread === 0) return []
    const page = { after: null, limit: Math.min(unread, MAX_COUNTED), unreadFirst: true, now }
    const { notifications } = await store.history(id, page)
    return notifications.filter((one) => !one.isRead && one.sentAt > since - LATE_MS)
  }

  /** One that was planned before this digest would tell of the same again. This job is not done yet: none is lost. */
  const addNext = async ({ slot }: DigestBody, next: Job): Promise<void> => {
    const [isNew] = await jobQueue.add([next])
    if (isNew) return
    const planned = await jobQueue.job(DIGESTS_QUEUE, next.id)
    // One of an earlier try of this job has what came since that try.
    if (planned && DigestBody.parse(planned.body).since >= slot) return
    await jobQueue.remove(DIGESTS_QUEUE, [next.id])
    await jobQueue.add([next])
  }

  const work = async (body: DigestBody, { id, attempts }: Job): Promise<JobOutcome> => {
    const { accountKey, domain, slot } = body
    const now = clock.now()
    const [subscription] = viewOf((await store.account(accountKey)).record, domain, now)
    const preferences = subscription?.preferences
    if (!preferences || !isDigestSlot(preferences, slot)) return { id, kind: 'done' }
    if ((await store.outboxSize()) >= SHORT_OUTBOX_SIZE)
      return { id, kind: 'again', at: now + LONG_OUTBOX_PAUSE_MS, attempts }
    const next = nextDigest(preferences, Math.max(now, slot))
    if (next === undefined) return { id, kind: 'done' }
    const copies = await lateCopies(subscription.id, body.since, now)
    const untold = copies.filter((one) => belongs(one) && !body.told.includes(one.id))
    if (untold.length > 0)
      await store.markRead({
        ...{ accountKey, subscriptionId: subscription.id, ids: [], at: now, outboxIfChanged: [] },
        outbox: [entryOf(body, subscription, untold, { now, next })],
      })
    // Those that the next one looks at again.
    const told = copies.filter(({ sentAt }) => sentAt > now - LATE_MS).map((one) => one.id)
    await addNext(body, jobOf({ accountKey, domain, slot: next, since: now, told }))
    return { id, kind: 'done' }
  }

  return createWorker(deps, {
    queue: DIGESTS_QUEUE,
    concurrency: CONCURRENCY,
    lease: LEASE_MS,
    retryAfter: RETRY_AFTER_MS,
    work: withBody(DigestBody, work),
  })
}
