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
 * Before a webhook's first event its receiver is asked by a `challenge`, a call like the others; the webhook is enabled by
 * a 2xx, and told nothing before. When that is refused for three days, the webhook is disabled.
 *
 * A slow or dead receiver does not delay others: a project has at most `PER_PROJECT` calls under way in a process, each webhook has at most `WIDTH` calls under way in a process, one while
 * it fails, and all that fail together at most half of the calls. What finds its lane full is put off to where the lane
 * will have come by then, at its present pace, which is no attempt. There is no order among the calls.
 */
import { z } from 'zod'
import { crypto } from '#crypto'
import { createWorker, type Job, type JobOutcome, type JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { toBase64, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Vault } from '../apps/vault.ts'
import type { Webhook, WebhookStore } from '../store/webhooks.ts'

export const QUEUE = 'webhooks'

const DAY = 86_400_000
const FIRST_PAUSE = 5_000
const LONGEST_PAUSE = 6 * 3_600_000
/** How long an event is tried. */
const TRYING = 3 * DAY
/** How long a job lives: it is tried, then it may be looked at and replayed. */
export const EXPIRY = TRYING + 30 * DAY
const PATIENCE = 10_000
const LONGEST_ANSWER = 64 * 1024
const CONCURRENCY = 64
const WIDTH = 4
const PER_PROJECT = 16
/** How long a call takes, as long as nothing is known, ms. */
const PACE = 100
const LONGEST_PUT_OFF = 300_000
/** Another process may be changing the project's webhooks. */
const ATTEMPTS = 12

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
    pause = Math.min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
    total += pause
  }
  return total > TRYING ? undefined : pause
}

interface Lane {
  running: number
  isFailing: boolean
  /** How long a call took lately, ms. */
  pace: number
  /** Up to when its lane is promised to jobs that were put off. */
  promised: number
}

const createLanes = (now: () => number) => {
  const lanes = new Map<string, Lane>()
  /** Calls under way, by project. */
  const projects = new Map<string, number>()
  let failing = 0
  return {
    /** Answers how it is left, or (a number) when to come again. */
    enter(id: string, projectId: string): ((took: number, ok: boolean) => void) | number {
      const lane = lanes.get(id) ?? { running: 0, isFailing: false, pace: PACE, promised: 0 }
      lanes.set(id, lane)
      const width = lane.isFailing ? 1 : WIDTH
      const ofProject = projects.get(projectId) ?? 0
      const isFull = lane.running >= width || ofProject >= PER_PROJECT
      if (isFull || (lane.isFailing && failing >= CONCURRENCY / 2)) {
        const step = Math.max(lane.pace / width, 1)
        lane.promised = Math.min(Math.max(lane.promised, now()) + step, now() + LONGEST_PUT_OFF)
        return Math.ceil(lane.promised)
      }
      const wasFailing = lane.isFailing
      lane.running += 1
      projects.set(projectId, ofProject + 1)
      if (wasFailing) failing += 1
      return (took, ok) => {
        lane.running -= 1
        const others = (projects.get(projectId) ?? 1) - 1
        if (others > 0) projects.set(projectId, others)
        else projects.delete(projectId)
        if (wasFailing) failing -= 1
        lane.isFailing = !ok
        lane.pace = (lane.pace * 3 + took) / 4
        if (ok && lane.running === 0 && lane.promised <= now()) lanes.delete(id)
      }
    },
  }
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

export const createWebhookCalls = (deps: WebhookCallsDeps): AsyncDisposable => {
  const { store, jobQueue, vault, post, clock, log, meter } = deps
  const lanes = createLanes(clock.now)

  const count = (outcome: string) => meter.count('notify_webhook_calls_total', { outcome })

  const signatures = ({ secret, previous }: Webhook, signed: string, now: number): string => {
    const secrets = previous && previous.until > now ? [secret, previous.secret] : [secret]
    return secrets.map((one) => `v1,${toBase64(crypto.hmacSha256(vault.open(one), utf8(signed)))}`).join(' ')
  }

  /** Undefined when it was taken, else the reason why not. */
  const call = async (
    webhook: Webhook,
    { eventId, event, projectId }: Call,
    signal: AbortSignal,
  ): Promise<{ ok: true } | { ok: false; status?: number; reason: string }> => {
    const now = clock.now()
    const timestamp = Math.floor(now / 1000)
    const body = JSON.stringify(event)
    const headers = {
      'content-type': 'application/json',
      'webhook-id': eventId,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatures(webhook, `${eventId}.${timestamp}.${body}`, now),
    }
    try {
      const request = {
        milliseconds: PATIENCE,
        bytes: LONGEST_ANSWER,
        signal,
        headers,
        body,
        owner: projectId,
      }
      const { status } = await post(webhook.url, request)
      return status >= 200 && status < 300
        ? { ok: true }
        : { ok: false, status, reason: `it answered ${status}` }
    } catch (error) {
      // The end of this process is no fault of the receiver.
      if (signal.aborted || !(error instanceof ProtocolError)) throw error
      return { ok: false, reason: error.message }
    }
  }

  /** Answers whether it is so now; not when somebody gave the webhook another address meanwhile. */
  const become = async (
    { projectId, webhookId }: Call,
    url: string,
    { from, ...next }: { from?: Webhook['state']; state: Webhook['state']; reason: string },
  ): Promise<boolean> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { version, webhooks } = await store.webhooks(projectId)
      const there = webhooks.find(({ id }) => id === webhookId)
      if (there?.url !== url || there.state === next.state || (from && there.state !== from)) return false
      const all = webhooks.map((one) => (one === there ? { ...one, ...next } : one))
      if (await store.commitWebhooks({ projectId, expectedVersion: version, webhooks: all })) return true
    }
    throw new Error('The webhooks of a project are changing too fast')
  }

  const disable = async (about: Call, url: string, reason: string): Promise<void> => {
    if (!(await become(about, url, { state: 'disabled', reason }))) return
    const { projectId, webhookId } = about
    log.warn({ projectId, webhook: webhookId, reason }, 'A webhook does not want any more; it is disabled')
    meter.count('notify_webhooks_disabled_total')
  }

  type Answer = Awaited<ReturnType<typeof call>>
  /** Receivers that are being asked whether they want events, once at a time. */
  const asking = new Map<string, Promise<Answer>>()

  const ask = async (webhook: Webhook, about: Call, signal: AbortSignal): Promise<Answer> => {
    const timestamp = new Date(clock.now()).toISOString()
    const isOwn = about.event.type === CHALLENGE
    const eventId = isOwn ? about.eventId : `challenge-${about.webhookId}`
    const event = isOwn ? about.event : { type: CHALLENGE, timestamp, data: {} }
    const answer = await call(webhook, { ...about, eventId, event }, signal)
    if (!answer.ok) return { ...answer, reason: `it has not agreed: ${answer.reason}` }
    await become(about, webhook.url, { from: 'pending', state: 'enabled', reason: '' })
    return answer
  }

  const askOnce = (webhook: Webhook, about: Call, signal: AbortSignal): Promise<Answer> => {
    const name = `${webhook.id} ${webhook.url}`
    const asked = asking.get(name) ?? ask(webhook, about, signal).finally(() => asking.delete(name))
    asking.set(name, asked)
    return asked
  }

  const tell = async (webhook: Webhook, about: Call, signal: AbortSignal): Promise<Answer> => {
    if (webhook.state === 'pending') {
      const answer = await askOnce(webhook, about, signal)
      if (!answer.ok) return answer
    }
    return about.event.type === CHALLENGE ? { ok: true } : call(webhook, about, signal)
  }

  const attempt = async (
    job: Job,
    about: Call,
    signal: AbortSignal,
  ): Promise<JobOutcome & { ok: boolean }> => {
    const { id } = job
    const isChallenge = about.event.type === CHALLENGE
    const webhook = (await store.webhooks(about.projectId)).webhooks.find((one) => one.id === about.webhookId)
    if (!webhook || (isChallenge && webhook.state !== 'pending')) return { id, kind: 'done', ok: true }
    if (webhook.state === 'disabled') {
      count('dead')
      return { id, kind: 'failed', attempts: job.attempts, failure: 'the webhook is disabled', ok: false }
    }
    const answer = await tell(webhook, about, signal)
    if (answer.ok) {
      if (!isChallenge) count('taken')
      return { id, kind: 'done', ok: true }
    }
    const attempts = job.attempts + 1
    const pause = answer.status === 410 ? undefined : pauseAfter(attempts)
    if (answer.status === 410 || (isChallenge && pause === undefined)) {
      await disable(about, webhook.url, answer.reason)
    }
    if (!isChallenge) count(pause === undefined ? 'dead' : 'failed')
    if (pause !== undefined) return { id, kind: 'again', at: clock.now() + pause, attempts, ok: false }
    if (isChallenge) return { id, kind: 'done', ok: false }
    return { id, kind: 'failed', attempts, failure: answer.reason, ok: false }
  }

  return createWorker(
    { jobQueue, clock, log, meter },
    {
      queue: QUEUE,
      concurrency: CONCURRENCY,
      lease: 3 * PATIENCE,
      retryAfter: FIRST_PAUSE,
      async work(job, signal) {
        const about = Call.parse(job.body)
        const leave = lanes.enter(job.group, about.projectId)
        if (typeof leave === 'number') {
          count('put_off')
          return { id: job.id, kind: 'again', at: leave, attempts: job.attempts }
        }
        const startedAt = clock.now()
        let isOk = false
        try {
          const { ok, ...outcome } = await attempt(job, about, signal)
          isOk = ok
          return outcome
        } finally {
          leave(clock.now() - startedAt, isOk)
        }
      },
    },
  )
}
