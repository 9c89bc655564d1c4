/**
 * The dapps' side of notify: publish a notification, now or later; ask who is subscribed, follow a link, mark as read.
 *
 * Guarantees: a notification that `notify` reports as sent or scheduled is durable before the answer, with its outbox
 * entry. The same `notificationId` again sends nothing twice and gives the same answer; its content is that of the first
 * call, also where a later call says otherwise. A call that died half way is finished by repeating it.
 *
 * The answer lists every form of an account that the caller wrote, once each, under the outcome of that account (see
 * `fan-out`). Who gets a scheduled notification is decided when it is due; its accounts are listed as scheduled.
 */
import type { JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import { type Limits, UNLIMITED } from '../apps/limits.ts'
import { uuidFrom } from '../ids.ts'
import { MAX_SCHEDULE_AHEAD_MS } from '../lifetimes.ts'
import type { DirectSends } from '../outbox/direct-sends.ts'
import type { AppRecord, NotifyStore } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { createBroadcasts, type Progress } from './broadcasts.ts'
import { CallOutcome, type NotifyOutcome } from './call-outcome.ts'
import { createCancellations } from './cancellation.ts'
import { createFanOut } from './fan-out.ts'
import { createNotificationLinks, type NotificationLinks } from './links.ts'
import { appFor, appsOf, typeOf } from './resolve-app.ts'
import { createSchedule } from './schedule.ts'
import type { Message } from './store-notification.ts'
import { createSubscribers, type Subscribers } from './subscribers.ts'

export type { NotifyOutcome } from './call-outcome.ts'

/** What is published: to the accounts of a `NotifyMessage`, or as a broadcast to all subscribers. */
export interface BroadcastMessage {
  /** The app that sends; when absent, `appFor` finds it. */
  domain?: string | undefined
  /** The caller's own id, unique per app; a random one when absent. */
  notificationId?: string | undefined
  /** `type`: id or name of one of the app's types. */
  notification: Pick<Message, 'type' | 'title' | 'body' | 'icon' | 'url' | 'extras'>
  /** Unix ms, at most 30 days ahead; now when it is past or absent. */
  deliverAt?: number | undefined
  /** Ms, from `deliverAt` on: accounts that have not been sent it by then are not sent it. */
  ttl?: number | undefined
  /** A newer notification with the same key replaces this one for accounts that do not have it yet. */
  collapseKey?: string | undefined
}

export interface NotifyMessage extends BroadcastMessage {
  /** CAIP-10, already checked; as the caller wrote them. */
  accounts: readonly string[]
}

export interface Publishing extends Subscribers, NotificationLinks {
  /** All messages of one call. Throws `unknown_app` before anything is sent. */
  notify(projectId: string, messages: readonly NotifyMessage[]): Promise<NotifyOutcome>
  /** To all live subscribers of the app who want the type; resolves before the first is sent. */
  broadcast(projectId: string, message: BroadcastMessage): Promise<{ id: string; status: Progress['status'] }>
}

export interface PublishingDeps {
  store: NotifyStore
  apps: Pick<Apps, 'list' | 'projects'>
  jobQueue: JobQueue
  webhooks: Pick<Webhooks, 'wants'>
  direct: DirectSends
  limits?: Limits
  clock: Clock
  meter: Pick<Meter, 'count'>
  randomBytes: (length: number) => Uint8Array
}

const messageOf = (app: AppRecord, { notification, ttl, collapseKey }: BroadcastMessage): Message => ({
  ...notification,
  type: typeOf(app, notification.type),
  ...(ttl !== undefined && { ttl }),
  ...(collapseKey !== undefined && { collapseKey }),
})

/** When it is due, if not now. Throws `bad_params` for a time too far ahead. */
const dueAt = ({ deliverAt }: BroadcastMessage, now: number): number | undefined => {
  const aheadMs = (deliverAt ?? 0) - now
  if (aheadMs > MAX_SCHEDULE_AHEAD_MS) {
    throw new ProtocolError('bad_params', 'at most 30 days ahead', { field: 'deliver_at' })
  }
  return aheadMs > 0 ? deliverAt : undefined
}

export const createPublishing = (deps: PublishingDeps): Publishing => {
  const { store, jobQueue, apps, webhooks, direct, clock, randomBytes, limits = UNLIMITED } = deps
  const cancellations = createCancellations(deps)
  const fanOut = createFanOut({ store, direct, apps, limits, cancellations, clock, meter: deps.meter })
  const schedule = createSchedule({ jobQueue })
  const broadcasts = createBroadcasts({ jobQueue, cancellations, clock })
  const newId = () => uuidFrom(randomBytes(16), 4)

  const publish = async (app: AppRecord, message: NotifyMessage, outcome: CallOutcome): Promise<void> => {
    const id = message.notificationId ?? newId()
    const { projectId, domain } = app
    const deliverAt = dueAt(message, clock.now())
    // A stored notification has been sent to somebody: the rest of it is sent now, too.
    if (deliverAt !== undefined && !(await store.notification(projectId, domain, id))) {
      const { accounts } = message
      await schedule.add({
        ...{ projectId, domain, id, deliverAt },
        message: messageOf(app, message),
        accounts: [...accounts],
      })
      outcome.scheduled(id, accounts)
      return
    }
    const notification = await fanOut.storeNotification(app, id, messageOf(app, message))
    const isKnown = message.notificationId !== undefined
    outcome.queued(id, await fanOut.toAccounts(app, notification, message.accounts, isKnown))
  }

  return {
    ...createSubscribers({ store, apps, webhooks, clock, randomBytes }),
    ...createNotificationLinks({ store, apps, fanOut, clock }),

    async notify(projectId, messages) {
      const candidates = await appsOf(apps, projectId)
      // All messages are checked before the first is sent: a refused call has done nothing.
      const addressed = messages.map((message, at) => {
        dueAt(message, clock.now())
        const { domain, notification } = message
        const app = appFor(candidates, { domain, type: notification.type })
        typeOf(app, notification.type, messages.length > 1 ? `[${at}].notification.type` : undefined)
        return { message, app }
      })
      const outcome = new CallOutcome()
      // One after the other: a call may repeat an id, and the first counts.
      for (const { app, message } of addressed) await publish(app, message, outcome)
      return outcome.answer()
    },

    async broadcast(projectId, message) {
      const { domain, notification, notificationId } = message
      const app = appFor(await appsOf(apps, projectId), { domain, type: notification.type })
      const id = notificationId ?? newId()
      const startAt = dueAt(message, clock.now()) ?? clock.now()
      return { id, status: await broadcasts.start(app, { id, message: messageOf(app, message), startAt }) }
    },
  }
}
