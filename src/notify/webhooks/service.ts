/**
 * Webhooks: a project's own servers hear what happens to its subscriptions.
 *
 *     service, publishing ──▶ outbox entry `event`, in the commit of what it tells of
 *     delivery ──▶ expand: one job for each webhook that wants it ──▶ webhook-calls: POST, again, dead letter
 *
 * Guarantees: an event is kept together with its cause, so it is told at least once, whatever process dies; it has one
 * id over all attempts and processes (`webhook-id`), by which a receiver drops what it had. A webhook hears of what
 * happens from a second after its registration on, in the process that registered it at once: so long others may
 * believe that nobody listens. What is no longer listened to is dropped when it is told.
 *
 * | event        | when                                                | data beside `account`, `app_domain`              |
 * |--------------|-----------------------------------------------------|--------------------------------------------------|
 * | subscribed   | a new subscription                                  | `scope`                                          |
 * | updated      | a subscription that was there got a scope           | `scope`                                          |
 * | unsubscribed | it ended                                            | `reason`: `deleted`, `expired` or `erased`       |
 * | delivered    | a wallet has the notification                       | `notification_ids`, `message_ids`                |
 * | read         | the unread ones became fewer                        | the same, or `all: true`; `by`: `wallet` or `project` |
 * | challenge    | before the first of all, and at a new address       | nothing: 2xx says that the receiver wants events |
 */

import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import type { Job, JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { fromHex, toBase64, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { Vault } from '../apps/vault.ts'
import { uuidFrom } from '../ids.ts'
import type { AppRecord, NotifyStore, OutboxEntry, OutboxTask } from '../store/store.ts'
import type { Webhook, WebhookEvent } from '../store/webhooks.ts'
import { Call, CHALLENGE, EXPIRY, QUEUE } from './calls.ts'

const MOST_WEBHOOKS = 20
/** How long a process believes what it last read about who listens, ms. */
const BELIEF = 1_000
const MOST_BELIEFS = 10_000
/** How long the secret before a rotation signs too, ms. */
const OVERLAP = 86_400_000
const SECRET_LENGTH = 32
/** Another process changed the same project's webhooks: how often to start over. */
const ATTEMPTS = 12
const PAGE = 200

export type EventTask = Extract<OutboxTask, { kind: 'event' }>

export interface WebhookWish {
  url: string
  events: readonly WebhookEvent[]
}

/** A call that is not made any more by itself. */
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
  /** Enables it again, too. With `rotateSecret` answers the new secret. Throws `not_found`, `bad_params`. */
  change(
    projectId: string,
    id: string,
    wish: Partial<WebhookWish> & { rotateSecret?: boolean },
  ): Promise<{ secret?: string }>
  /** Takes it away with all that waits for it. */
  remove(projectId: string, id: string): Promise<void>
  deadLetters(
    projectId: string,
    id: string,
    page: { after?: string | undefined; limit: number },
  ): Promise<DeadLetter[]>
  /** Throws `not_found` when there is no such dead letter. */
  replay(projectId: string, id: string, eventId: string): Promise<void>
  /** Answers how many. */
  replayAll(projectId: string, id: string): Promise<number>
  /** Whether somebody may listen: true where that is not known. */
  wants(domain: string, event: WebhookEvent): Promise<boolean>
  /** Makes a job of the entry for each webhook that wants it; again, the same ones. */
  expand(entry: OutboxEntry & { task: EventTask }): Promise<void>
}

export interface WebhooksDeps {
  store: NotifyStore
  jobQueue: JobQueue
  vault: Vault
  clock: Clock
  randomBytes: (length: number) => Uint8Array
  /** Throws `bad_params` with the reason for an address that will not be called. */
  checkUrl: (url: string) => Promise<void>
}

const jobId = (webhookId: string, eventId: string) => `${webhookId}.${eventId}`
const eventIdOf = (entryId: string) => uuidFrom(fromHex(topicOf(utf8(entryId))), 8)

export const createWebhooks = (deps: WebhooksDeps): Webhooks => {
  const { store, jobQueue, vault, clock, randomBytes, checkUrl } = deps
  const beliefs = new Map<string, { until: number; events: Promise<ReadonlySet<WebhookEvent>> }>()

  const inTurn = createKeyedLock()

  const newSecret = () => {
    const bytes = randomBytes(SECRET_LENGTH)
    return { sealed: vault.seal(bytes), shown: `whsec_${toBase64(bytes)}` }
  }

  const none = () => new ProtocolError('not_found', 'there is no such webhook')

  const find = async (projectId: string, id: string): Promise<Webhook> => {
    const found = (await store.webhooks(projectId)).webhooks.find((one) => one.id === id)
    if (!found) throw none()
    return found
  }

  /** `decide` may be asked several times, and once more after its answer was kept. */
  const commit = (
    projectId: string,
    decide: (webhooks: readonly Webhook[]) => readonly Webhook[],
  ): Promise<void> =>
    inTurn(projectId, async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const { version, webhooks } = await store.webhooks(projectId)
        const next = decide(webhooks)
        if (await store.commitWebhooks({ projectId, expectedVersion: version, webhooks: next })) {
          beliefs.clear()
          return
        }
      }
      throw new ProtocolError('unavailable', 'the webhooks are changing too fast')
    })

  const replace = (projectId: string, id: string, change: (webhook: Webhook) => Webhook): Promise<void> =>
    commit(projectId, (webhooks) => {
      if (!webhooks.some((one) => one.id === id)) throw none()
      return webhooks.map((one) => (one.id === id ? change(one) : one))
    })

  const listeners = async (projectId: string, event: WebhookEvent): Promise<Webhook[]> => {
    const { webhooks } = await store.webhooks(projectId)
    return webhooks.filter(({ state, events }) => state !== 'disabled' && events.includes(event))
  }

  const listenedTo = async (domain: string): Promise<ReadonlySet<WebhookEvent>> => {
    const app = await store.app(domain)
    const { webhooks } = app ? await store.webhooks(app.projectId) : { webhooks: [] }
    return new Set(webhooks.flatMap(({ state, events }) => (state === 'disabled' ? [] : events)))
  }

  const jobFor = (projectId: string, webhookId: string, eventId: string, event: Call['event']): Job => {
    const call: Call = { projectId, webhookId, eventId, event }
    const now = clock.now()
    return {
      queue: QUEUE,
      id: jobId(webhookId, eventId),
      group: webhookId,
      at: now,
      expiresAt: now + EXPIRY,
      attempts: 0,
      body: call,
    }
  }

  /** The receiver is asked at once, so that the webhook's state tells soon whether it works. */
  const challenge = async (projectId: string, webhookId: string): Promise<void> => {
    const timestamp = new Date(clock.now()).toISOString()
    const event = { type: CHALLENGE, timestamp, data: {} }
    await jobQueue.add([jobFor(projectId, webhookId, uuidFrom(randomBytes(16), 4), event)])
  }

  /** What the dapp called the notifications whose copies these are; of a subscription that ended nobody knows. */
  const notificationIds = async ({ subscriptionId, ids = [] }: EventTask): Promise<string[]> => {
    const copies = await Promise.all(ids.map((id) => store.delivered(subscriptionId, id)))
    return copies.flatMap((copy) => copy?.notification.id ?? [])
  }

  const self: Webhooks = {
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
      await commit(projectId, (webhooks) => {
        if (webhooks.some(({ id }) => id === webhook.id)) return webhooks
        if (webhooks.length < MOST_WEBHOOKS) return [...webhooks, webhook]
        throw new ProtocolError('bad_params', `a project has at most ${MOST_WEBHOOKS} webhooks`)
      })
      await challenge(projectId, webhook.id)
      return { id: webhook.id, secret: shown }
    },

    async list(projectId) {
      return (await store.webhooks(projectId)).webhooks
    },

    async change(projectId, id, { url, events, rotateSecret = false }) {
      if (url !== undefined) await checkUrl(url)
      const secret = rotateSecret ? newSecret() : undefined
      const now = clock.now()
      await replace(projectId, id, (webhook) => ({
        ...webhook,
        ...(url !== undefined && { url }),
        ...(events && { events: [...new Set(events)] }),
        ...(secret &&
          webhook.secret !== secret.sealed && {
            secret: secret.sealed,
            previous: { secret: webhook.secret, until: now + OVERLAP },
          }),
        // Who was asked under this address has agreed already.
        state: (url ?? webhook.url) === webhook.url && webhook.state === 'enabled' ? 'enabled' : 'pending',
        reason: '',
      }))
      if ((await find(projectId, id)).state === 'pending') await challenge(projectId, id)
      return secret ? { secret: secret.shown } : {}
    },

    async remove(projectId, id) {
      await find(projectId, id)
      await commit(projectId, (webhooks) => webhooks.filter((one) => one.id !== id))
      // What is added meanwhile, or left by a death here, is dropped when it is due: its webhook is gone.
      for (const dead of [true, false]) {
        for (;;) {
          const jobs = await jobQueue.list(QUEUE, { group: id, dead, limit: PAGE })
          await jobQueue.remove(
            QUEUE,
            jobs.map((job) => job.id),
          )
          if (jobs.length < PAGE) break
        }
      }
    },

    async deadLetters(projectId, id, { after, limit }) {
      await find(projectId, id)
      const cursor = after === undefined ? undefined : jobId(id, after)
      const jobs = await jobQueue.list(QUEUE, { group: id, dead: true, after: cursor, limit })
      return jobs.map((job) => ({
        id: job.id.slice(id.length + 1),
        event: Call.parse(job.body).event,
        attempts: job.attempts,
        failure: job.failure ?? '',
      }))
    },

    async replay(projectId, id, eventId) {
      await find(projectId, id)
      if (await jobQueue.revive(QUEUE, jobId(id, eventId), clock.now())) return
      throw new ProtocolError('not_found', 'there is no such dead letter')
    },

    async replayAll(projectId, id) {
      let replayed = 0
      for (let after: string | undefined; ; ) {
        const letters = await self.deadLetters(projectId, id, { after, limit: PAGE })
        const now = clock.now()
        const were = await Promise.all(letters.map((one) => jobQueue.revive(QUEUE, jobId(id, one.id), now)))
        replayed += were.filter(Boolean).length
        after = letters.at(-1)?.id
        if (letters.length < PAGE) return replayed
      }
    },

    async wants(domain, event) {
      const now = clock.now()
      const known = beliefs.get(domain)
      if (known && known.until > now) return (await known.events).has(event)
      if (beliefs.size >= MOST_BELIEFS) beliefs.clear()
      const events = listenedTo(domain)
      const belief = { until: now + BELIEF, events }
      beliefs.set(domain, belief)
      try {
        return (await events).has(event)
      } catch (error) {
        if (beliefs.get(domain) === belief) beliefs.delete(domain)
        throw error
      }
    },

    async expand({ id, task, createdAt }) {
      const app: AppRecord | undefined = await store.app(task.domain)
      const targets = app ? await listeners(app.projectId, task.event) : []
      if (!app || targets.length === 0) return
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
      await jobQueue.add(targets.map((webhook) => jobFor(app.projectId, webhook.id, eventIdOf(id), event)))
    },
  }
  return self
}
