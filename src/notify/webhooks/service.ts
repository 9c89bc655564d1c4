/**
 * Webhooks: a project's own servers hear what happens to its subscriptions.
 *
 *     subscriptions, publish ──▶ outbox entry `event`, in the commit of its cause
 *     outbox/worker ──▶ expand: one job for each webhook that wants it ──▶ webhooks/calls: POST, retries, dead letter
 *
 * Guarantees: an event is stored in the commit of its cause, so it is delivered at least once, whatever process dies. It
 * has one id over all attempts and processes (`webhook-id`), by which a receiver drops repetitions. A webhook receives
 * events from a second after its registration on (at once in the process that registered it), because other processes
 * cache which events have listeners. An event without a listener is dropped when it is expanded.
 *
 * | event        | when                                                | data beside `account`, `app_domain`              |
 * |--------------|-----------------------------------------------------|--------------------------------------------------|
 * | subscribed   | a new subscription                                  | `scope`                                          |
 * | updated      | an existing subscription got a scope                | `scope`                                          |
 * | unsubscribed | it ended                                            | `reason`: `deleted`, `expired` or `erased`       |
 * | delivered    | a wallet has the notification                       | `notification_ids`, `message_ids`                |
 * | read         | the unread ones became fewer                        | the same, or `all: true`; `by`: `wallet` or `project` |
 * | answered     | a wallet answered an action                          | `notification_ids`, `message_ids`, `action`, and the proof |
 * | pushed, refused | a push provider took, or refused, the notification | `notification_ids`, `message_ids`, `provider`, `reason` |
 * | challenge    | before the first event, and at a new address        | nothing: a 2xx enables the webhook               |
 */

import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import type { Job, JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { DAY_MS } from '../../platform/units.ts'
import { fromHex, toBase64, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { Vault } from '../apps/vault.ts'
import { uuidFrom } from '../ids.ts'
import type { NotifyStore, OutboxEntry, OutboxTask } from '../store/store.ts'
import type { Webhook, WebhookEvent } from '../store/webhooks.ts'
import { Call, CHALLENGE, WEBHOOK_JOB_LIFETIME_MS, WEBHOOK_QUEUE } from './calls.ts'
import { createListeners, type Listeners } from './listeners.ts'

const MAX_WEBHOOKS_PER_PROJECT = 20
/** The former secret signs, too, for this long after a rotation. */
const SECRET_OVERLAP_MS = DAY_MS
const SECRET_BYTES = 32
/** Another process changed the same project's webhooks: how often to start over. */
const MAX_COMMIT_ATTEMPTS = 12
const JOB_PAGE_SIZE = 200

export type EventTask = Extract<OutboxTask, { kind: 'event' }>

export interface WebhookWish {
  url: string
  events: readonly WebhookEvent[]
}

/** A call that is not tried again by itself. */
export interface DeadLetter {
  /** The event's: its `webhook-id`. */
  id: string
  event: Call['event']
  attempts: number
  failure: string
}

export interface Webhooks {
  /** `secret` (`whsec_…`) is shown here and never again. Throws `bad_params`. */
  register(projectId: string, wish: WebhookWish): Promise<{ id: string; secret: string }>
  list(projectId: string): Promise<readonly Webhook[]>
  /** Also enables it again. With `rotateSecret` returns the new secret. Throws `not_found`, `bad_params`. */
  change(
    projectId: string,
    id: string,
    wish: Partial<WebhookWish> & { rotateSecret?: boolean },
  ): Promise<{ secret?: string }>
  /** Removes it with all its jobs. */
  remove(projectId: string, id: string): Promise<void>
  deadLetters(
    projectId: string,
    id: string,
    page: { after?: string | undefined; limit: number },
  ): Promise<DeadLetter[]>
  /** Throws `not_found` when there is no such dead letter. */
  replay(projectId: string, id: string, eventId: string): Promise<void>
  /** Returns how many. */
  replayAll(projectId: string, id: string): Promise<number>
  /** Whether a webhook of the app's project may listen to the event. */
  wants(domain: string, event: WebhookEvent): Promise<boolean>
  /** Makes a job of the entry for each webhook that wants it. Idempotent. */
  expand(entry: OutboxEntry & { task: EventTask }): Promise<void>
}

export interface WebhooksDeps {
  store: NotifyStore
  jobQueue: JobQueue
  vault: Vault
  clock: Clock
  randomBytes: (length: number) => Uint8Array
  /** Throws `bad_params` with the reason for an address that must not be called. */
  checkUrl: (url: string) => Promise<void>
}

const jobIdOf = (webhookId: string, eventId: string) => `${webhookId}.${eventId}`
const eventIdOf = (entryId: string) => uuidFrom(fromHex(topicOf(utf8(entryId))), 8)
/** Shown for a job whose body cannot be parsed; such a job fails for good. */
const UNREADABLE_EVENT: Call['event'] = { type: 'unreadable', timestamp: new Date(0).toISOString(), data: {} }
const noWebhook = () => new ProtocolError('not_found', 'there is no such webhook')

/** A job that calls the webhook; its id follows from the event, so it is added once. */
const jobFor = (call: Call, now: number): Job => ({
  queue: WEBHOOK_QUEUE,
  id: jobIdOf(call.webhookId, call.eventId),
  group: call.webhookId,
  at: now,
  expiresAt: now + WEBHOOK_JOB_LIFETIME_MS,
  attempts: 0,
  body: call,
})

const find = async (
  store: Pick<NotifyStore, 'webhooks'>,
  projectId: string,
  id: string,
): Promise<Webhook> => {
  const found = (await store.webhooks(projectId)).webhooks.find((one) => one.id === id)
  if (!found) throw noWebhook()
  return found
}

/** Changes the list of a project's webhooks by compare-and-swap. */
const createWebhookList = (store: Pick<NotifyStore, 'webhooks' | 'commitWebhooks'>, listeners: Listeners) => {
  const inTurn = createKeyedLock()

  /** `decide` may be called several times, also once more after its list was committed. */
  const commit = (
    projectId: string,
    decide: (webhooks: readonly Webhook[]) => readonly Webhook[],
  ): Promise<void> =>
    inTurn(projectId, async () => {
      for (let attempt = 0; attempt < MAX_COMMIT_ATTEMPTS; attempt++) {
        const { version, webhooks } = await store.webhooks(projectId)
        const next = decide(webhooks)
        if (await store.commitWebhooks({ projectId, expectedVersion: version, webhooks: next })) {
          listeners.clear()
          return
        }
      }
      throw new ProtocolError('unavailable', 'the webhooks are changing too fast')
    })

  return {
    add: (projectId: string, webhook: Webhook): Promise<void> =>
      commit(projectId, (webhooks) => {
        if (webhooks.some(({ id }) => id === webhook.id)) return webhooks
        if (webhooks.length < MAX_WEBHOOKS_PER_PROJECT) return [...webhooks, webhook]
        throw new ProtocolError('bad_params', `a project has at most ${MAX_WEBHOOKS_PER_PROJECT} webhooks`)
      }),
    replace: (projectId: string, id: string, change: (webhook: Webhook) => Webhook): Promise<void> =>
      commit(projectId, (webhooks) => {
        if (!webhooks.some((one) => one.id === id)) throw noWebhook()
        return webhooks.map((one) => (one.id === id ? change(one) : one))
      }),
    remove: (projectId: string, id: string): Promise<void> =>
      commit(projectId, (webhooks) => webhooks.filter((one) => one.id !== id)),
  }
}

/** The webhook with what was changed; a new secret leaves the former one for a while. */
const changed = (
  webhook: Webhook,
  { url, events, secret, now }: Partial<WebhookWish> & { secret: Webhook['secret'] | undefined; now: number },
): Webhook => ({
  ...webhook,
  ...(url !== undefined && { url }),
  ...(events && { events: [...new Set(events)] }),
  ...(secret !== undefined &&
    webhook.secret !== secret && {
      secret,
      previous: { secret: webhook.secret, until: now + SECRET_OVERLAP_MS },
    }),
  // A receiver that was enabled under this address has agreed already.
  state: (url ?? webhook.url) === webhook.url && webhook.state === 'enabled' ? 'enabled' : 'pending',
  reason: '',
})

/** Registers, changes and removes webhooks. */
const createRegistrations = (
  { store, jobQueue, vault, clock, randomBytes, checkUrl }: WebhooksDeps,
  listeners: Listeners,
): Pick<Webhooks, 'register' | 'change' | 'remove'> => {
  const list = createWebhookList(store, listeners)

  const newSecret = () => {
    const bytes = randomBytes(SECRET_BYTES)
    return { sealed: vault.seal(bytes), shown: `whsec_${toBase64(bytes)}` }
  }

  /** The receiver is asked at once, so that the webhook's state soon says whether it works. */
  const challenge = async (projectId: string, webhookId: string): Promise<void> => {
    const timestamp = new Date(clock.now()).toISOString()
    const event = { type: CHALLENGE, timestamp, data: {} }
    const eventId = uuidFrom(randomBytes(16), 4)
    await jobQueue.add([jobFor({ projectId, webhookId, eventId, event }, clock.now())])
  }

  return {
    async register(projectId, { url, events }) {
      await checkUrl(url)
      const { sealed, shown } = newSecret()
      const webhook: Webhook = {
        id: uuidFrom(randomBytes(16), 4),
        url,
        events: [...new Set(events)],
        secret: sealed,
        state: 'pending',
        reason: '',
        createdAt: clock.now(),
      }
      await list.add(projectId, webhook)
      await challenge(projectId, webhook.id)
      return { id: webhook.id, secret: shown }
    },

    async change(projectId, id, { url, events, rotateSecret = false }) {
      if (url !== undefined) await checkUrl(url)
      const secret = rotateSecret ? newSecret() : undefined
      const now = clock.now()
      await list.replace(projectId, id, (webhook) =>
        changed(webhook, {
          ...(url !== undefined && { url }),
          ...(events && { events }),
          secret: secret?.sealed,
          now,
        }),
      )
      if ((await find(store, projectId, id)).state === 'pending') await challenge(projectId, id)
      return secret ? { secret: secret.shown } : {}
    },

    async remove(projectId, id) {
      await find(store, projectId, id)
      await list.remove(projectId, id)
      // Jobs that are added meanwhile, or left by a crash here, are dropped when they are due: their webhook is gone.
      for (const dead of [true, false]) {
        for (;;) {
          const jobs = await jobQueue.list(WEBHOOK_QUEUE, { group: id, dead, limit: JOB_PAGE_SIZE })
          await jobQueue.remove(
            WEBHOOK_QUEUE,
            jobs.map((job) => job.id),
          )
          if (jobs.length < JOB_PAGE_SIZE) break
        }
      }
    },
  }
}

const createDeadLetters = ({
  store,
  jobQueue,
  clock,
}: Pick<WebhooksDeps, 'store' | 'jobQueue' | 'clock'>): Pick<
  Webhooks,
  'deadLetters' | 'replay' | 'replayAll'
> => {
  const deadLetters: Webhooks['deadLetters'] = async (projectId, id, { after, limit }) => {
    await find(store, projectId, id)
    const cursor = after === undefined ? undefined : jobIdOf(id, after)
    const jobs = await jobQueue.list(WEBHOOK_QUEUE, { group: id, dead: true, after: cursor, limit })
    return jobs.map((job) => ({
      id: job.id.slice(id.length + 1),
      event: Call.safeParse(job.body).data?.event ?? UNREADABLE_EVENT,
      attempts: job.attempts,
      failure: job.failure ?? '',
    }))
  }

  return {
    deadLetters,

    async replay(projectId, id, eventId) {
      await find(store, projectId, id)
      if (await jobQueue.revive(WEBHOOK_QUEUE, jobIdOf(id, eventId), clock.now())) return
      throw new ProtocolError('not_found', 'there is no such dead letter')
    },

    async replayAll(projectId, id) {
      let replayed = 0
      for (let after: string | undefined; ; ) {
        const page = await deadLetters(projectId, id, { after, limit: JOB_PAGE_SIZE })
        const now = clock.now()
        const revived = await Promise.all(
          page.map((one) => jobQueue.revive(WEBHOOK_QUEUE, jobIdOf(id, one.id), now)),
        )
        replayed += revived.filter(Boolean).length
        after = page.at(-1)?.id
        if (page.length < JOB_PAGE_SIZE) return replayed
      }
    },
  }
}

const createExpand = ({
  store,
  jobQueue,
  clock,
}: Pick<WebhooksDeps, 'store' | 'jobQueue' | 'clock'>): Webhooks['expand'] => {
  const listening = async (projectId: string, event: WebhookEvent): Promise<Webhook[]> => {
    const { webhooks } = await store.webhooks(projectId)
    return webhooks.filter(({ state, events }) => state !== 'disabled' && events.includes(event))
  }

  /** The dapp's ids of the notifications whose copies these are; copies of an ended subscription are gone. */
  const notificationIds = async ({ subscriptionId, ids = [] }: EventTask): Promise<string[]> => {
    const copies = await Promise.all(ids.map((id) => store.delivered(subscriptionId, id)))
    return copies.flatMap((copy) => copy?.notification.id ?? [])
  }

  return async ({ id, task, createdAt }) => {
    const app = await store.app(task.domain)
    const targets = app ? await listening(app.projectId, task.event) : []
    if (!app || targets.length === 0) return
    const { projectId } = app
    const event = {
      type: task.event,
      timestamp: new Date(createdAt).toISOString(),
      data: {
        account: task.account,
        app_domain: task.domain,
        ...task.detail,
        ...(task.ids && { message_ids: [...task.ids], notification_ids: await notificationIds(task) }),
      },
    }
    const eventId = eventIdOf(id)
    const now = clock.now()
    await jobQueue.add(
      targets.map(({ id: webhookId }) => jobFor({ projectId, webhookId, eventId, event }, now)),
    )
  }
}

export const createWebhooks = (deps: WebhooksDeps): Webhooks => {
  const { store, clock } = deps
  const listeners = createListeners({ store, clock })
  return {
    ...createRegistrations(deps, listeners),
    ...createDeadLetters(deps),
    list: async (projectId) => (await store.webhooks(projectId)).webhooks,
    wants: listeners.wants,
    expand: createExpand(deps),
  }
}
