/**
 * Calls webhooks: POSTs each event, signed as Standard Webhooks has it, until the receiver answers 2xx.
 *
 *     webhook-id: <event id, the same over attempts>
 *     webhook-timestamp: <unix s of this attempt>
 *     webhook-signature: v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")>, during a rotation one for each secret
 *
 * | answer                   | what follows                                                             |
 * |--------------------------|--------------------------------------------------------------------------|
 * | 2xx                      | done                                                                     |
 * | 410                      | the webhook is disabled, with the reason; the event is a dead letter     |
 * | others, none within 10 s | again after 5 s, 10 s, 20 s … 6 h, for 3 days, then a dead letter        |
 *
 * Before a webhook's first event its receiver is asked by a `challenge`, a call like the others. A 2xx enables the
 * webhook, which receives no event before. A challenge that fails for three days disables the webhook.
 *
 * `call-slots` bounds the calls that are under way. There is no order among the calls.
 */
import * as z from 'zod'
import { crypto } from '#crypto'
import { withBody } from '../../platform/jobs/job-body.ts'
import { createWorker, type Job, type JobOutcome, type JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { DAY_MS, HOUR_MS } from '../../platform/units.ts'
import { toBase64, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Vault } from '../apps/vault.ts'
import type { Webhook, WebhookStore } from '../store/webhooks.ts'
import { createCallSlots, MAX_CALLS } from './call-slots.ts'

export const WEBHOOK_QUEUE = 'webhooks'

const FIRST_RETRY_MS = 5_000
const MAX_RETRY_MS = 6 * HOUR_MS
/** How long an event is tried. */
const TRY_FOR_MS = 3 * DAY_MS
/** How long a job lasts: it is tried, then it may be looked at and replayed. */
export const WEBHOOK_JOB_LIFETIME_MS = TRY_FOR_MS + 30 * DAY_MS
const CALL_TIMEOUT_MS = 10_000
/** A challenge and an event may follow each other under one lease. */
const LEASE_MS = 3 * CALL_TIMEOUT_MS
const MAX_ANSWER_BYTES = 64 * 1024
/** Another process may be changing the project's webhooks. */
const MAX_COMMIT_ATTEMPTS = 12

/** The type of the call that asks whether a receiver wants events. */
export const CHALLENGE = 'challenge'

/** The body of a job. */
export const Call = z.object({
  projectId: z.string(),
  webhookId: z.string(),
  eventId: z.string(),
  event: z.object({ type: z.string(), timestamp: z.string(), data: z.record(z.string(), z.unknown()) }),
})
export type Call = z.infer<typeof Call>

/** POSTs to a host that somebody else named; throws when there is no answer. */
export type WebhookPost = (
  url: string,
  request: {
    milliseconds: number
    bytes: number
    signal: AbortSignal
    headers: Record<string, string>
    body: string
    owner: string
  },
) => Promise<{ status: number }>

/** The pause after this many attempts, ms; undefined when three days are over. */
export const pauseAfter = (attempts: number): number | undefined => {
  let total = 0
  let pause = 0
  for (let attempt = 1; attempt <= attempts; attempt++) {
    pause = Math.min(FIRST_RETRY_MS * 2 ** (attempt - 1), MAX_RETRY_MS)
    total += pause
  }
  return total > TRY_FOR_MS ? undefined : pause
}

export interface WebhookCallsDeps {
  store: WebhookStore
  jobQueue: JobQueue
  vault: Pick<Vault, 'open'>
  post: WebhookPost
  clock: Clock
  log: Log
  meter: Meter
}

type Answer = { ok: true } | { ok: false; status?: number; reason: string }
type Post = (webhook: Webhook, call: Call, signal: AbortSignal) => Promise<Answer>

/** POSTs one call, signed. */
const createSignedPost = ({
  vault,
  post,
  clock,
}: Pick<WebhookCallsDeps, 'vault' | 'post' | 'clock'>): Post => {
  const signatures = ({ secret, previous }: Webhook, signed: string, now: number): string => {
    const secrets = previous && previous.until > now ? [secret, previous.secret] : [secret]
    return secrets.map((one) => `v1,${toBase64(crypto.hmacSha256(vault.open(one), utf8(signed)))}`).join(' ')
  }

  return async (webhook, { eventId, event, projectId }, signal) => {
    const now = clock.now()
    const timestamp = Math.floor(now / 1000)
    const body = JSON.stringify(event)
    const headers = {
      'content-type': 'application/json',
      'webhook-id': eventId,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatures(webhook, `${eventId}.${timestamp}.${body}`, now),
    }
    const limits = { milliseconds: CALL_TIMEOUT_MS, bytes: MAX_ANSWER_BYTES }
    try {
      const { status } = await post(webhook.url, { ...limits, signal, headers, body, owner: projectId })
      return status >= 200 && status < 300
        ? { ok: true }
        : { ok: false, status, reason: `it answered ${status}` }
    } catch (error) {
      // The end of this process is no fault of the receiver.
      if (signal.aborted || !(error instanceof ProtocolError)) throw error
      return { ok: false, reason: error.message }
    }
  }
}

/** Changes the state of webhooks, by compare-and-swap. */
const createWebhookState = ({
  store,
  log,
  meter,
}: { store: WebhookStore } & Pick<WebhookCallsDeps, 'log' | 'meter'>) => {
  /** False when nothing changed, for example because the webhook has another address meanwhile. */
  const become = async (
    { projectId, webhookId }: Call,
    url: string,
    { from, ...next }: { from?: Webhook['state']; state: Webhook['state']; reason: string },
  ): Promise<boolean> => {
    for (let attempt = 0; attempt < MAX_COMMIT_ATTEMPTS; attempt++) {
      const { version, webhooks } = await store.webhooks(projectId)
      const present = webhooks.find(({ id }) => id === webhookId)
      if (present?.url !== url || present.state === next.state || (from && present.state !== from))
        return false
      const all = webhooks.map((one) => (one === present ? { ...one, ...next } : one))
      if (await store.commitWebhooks({ projectId, expectedVersion: version, webhooks: all })) return true
    }
    throw new Error('The webhooks of a project are changing too fast')
  }

  return {
    enable: (call: Call, url: string) => become(call, url, { from: 'pending', state: 'enabled', reason: '' }),

    async disable(call: Call, url: string, reason: string): Promise<void> {
      if (!(await become(call, url, { state: 'disabled', reason }))) return
      const { projectId, webhookId } = call
      log.warn({ projectId, webhook: webhookId, reason }, 'A webhook does not want any more; it is disabled')
      meter.count('notify_webhooks_disabled_total')
    },
  }
}

/** Delivers a call; a pending webhook is challenged before. */
const createDeliver = (
  post: Post,
  state: Pick<ReturnType<typeof createWebhookState>, 'enable'>,
  clock: Clock,
): Post => {
  /** Challenges under way: each receiver is asked once at a time. */
  const challenges = new Map<string, Promise<Answer>>()

  const challenge: Post = async (webhook, call, signal) => {
    const timestamp = new Date(clock.now()).toISOString()
    const isOwn = call.event.type === CHALLENGE
    const eventId = isOwn ? call.eventId : `challenge-${call.webhookId}`
    const event = isOwn ? call.event : { type: CHALLENGE, timestamp, data: {} }
    const answer = await post(webhook, { ...call, eventId, event }, signal)
    if (!answer.ok) return { ...answer, reason: `it has not agreed: ${answer.reason}` }
    await state.enable(call, webhook.url)
    return answer
  }

  const challengeOnce: Post = (webhook, call, signal) => {
    const name = `${webhook.id} ${webhook.url}`
    const underWay =
      challenges.get(name) ?? challenge(webhook, call, signal).finally(() => challenges.delete(name))
    challenges.set(name, underWay)
    return underWay
  }

  return async (webhook, call, signal) => {
    if (webhook.state === 'pending') {
      const answer = await challengeOnce(webhook, call, signal)
      if (!answer.ok) return answer
    }
    return call.event.type === CHALLENGE ? { ok: true } : post(webhook, call, signal)
  }
}

/** One attempt of a job. `ok`: whether the receiver works. */
const createAttempt = (
  { store, clock, meter }: Pick<WebhookCallsDeps, 'store' | 'clock' | 'meter'>,
  deliver: Post,
  state: Pick<ReturnType<typeof createWebhookState>, 'disable'>,
) => {
  const count = (outcome: string) => meter.count('notify_webhook_calls_total', { outcome })

  const failed = async (
    job: Job,
    call: Call,
    url: string,
    { status, reason }: Extract<Answer, { ok: false }>,
  ): Promise<JobOutcome> => {
    const { id } = job
    const isChallenge = call.event.type === CHALLENGE
    const attempts = job.attempts + 1
    const pause = status === 410 ? undefined : pauseAfter(attempts)
    if (status === 410 || (isChallenge && pause === undefined)) await state.disable(call, url, reason)
    if (!isChallenge) count(pause === undefined ? 'dead' : 'failed')
    if (pause !== undefined) return { id, kind: 'again', at: clock.now() + pause, attempts }
    if (isChallenge) return { id, kind: 'done' }
    return { id, kind: 'failed', attempts, failure: reason }
  }

  return async (job: Job, call: Call, signal: AbortSignal): Promise<{ outcome: JobOutcome; ok: boolean }> => {
    const { id } = job
    const isChallenge = call.event.type === CHALLENGE
    const webhook = (await store.webhooks(call.projectId)).webhooks.find((one) => one.id === call.webhookId)
    if (!webhook || (isChallenge && webhook.state !== 'pending')) {
      return { outcome: { id, kind: 'done' }, ok: true }
    }
    if (webhook.state === 'disabled') {
      count('dead')
      const failure = 'the webhook is disabled'
      return { outcome: { id, kind: 'failed', attempts: job.attempts, failure }, ok: false }
    }
    const answer = await deliver(webhook, call, signal)
    if (!answer.ok) return { outcome: await failed(job, call, webhook.url, answer), ok: false }
    if (!isChallenge) count('taken')
    return { outcome: { id, kind: 'done' }, ok: true }
  }
}

export const createWebhookCalls = (deps: WebhookCallsDeps): AsyncDisposable => {
  const { store, jobQueue, clock, log, meter } = deps
  const slots = createCallSlots(clock.now)
  const state = createWebhookState({ store, log, meter })
  const deliver = createDeliver(createSignedPost(deps), state, clock)
  const attempt = createAttempt(deps, deliver, state)

  const work = async (call: Call, job: Job, signal: AbortSignal): Promise<JobOutcome> => {
    const leave = slots.enter(job.group, call.projectId)
    if (typeof leave === 'number') {
      meter.count('notify_webhook_calls_total', { outcome: 'put_off' })
      return { id: job.id, kind: 'again', at: leave, attempts: job.attempts }
    }
    const startedAt = clock.now()
    let isOk = false
    try {
      const { outcome, ok } = await attempt(job, call, signal)
      isOk = ok
      return outcome
    } finally {
      leave(clock.now() - startedAt, isOk)
    }
  }

  return createWorker(
    { jobQueue, clock, log, meter },
    {
      queue: WEBHOOK_QUEUE,
      concurrency: MAX_CALLS,
      lease: LEASE_MS,
      retryAfter: FIRST_RETRY_MS,
      work: withBody(Call, work),
    },
  )
}
