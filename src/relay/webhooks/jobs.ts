/** The jobs by which events wait for their webhooks, and challenges for their answers. */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { Job } from '../../platform/jobs/job-queue.ts'
import { WATCH_LIMITS, type WatchStatus } from '../../protocol/relay-watch.ts'
import type { StoredMessage, Watch } from '../store.ts'

/** Events of the trusted client have a queue, and a worker, of their own. */
export const WATCH_QUEUE = 'relay-events'
export const TRUSTED_WATCH_QUEUE = 'relay-events-trusted'
export const queueFor = (isTrusted: boolean): string => (isTrusted ? TRUSTED_WATCH_QUEUE : WATCH_QUEUE)

/** Events of one POST, and so of one job. */
export const MAX_POST_EVENTS = 64
/** A message that is not acknowledged for so long is queued. */
const QUEUED_AFTER_MS = 1_000
/** A service that has not answered its challenge for so long is not asked any more. */
const CHALLENGE_TTL_MS = 3_600_000

const NamedMessage = z.object({
  topic: z.string(),
  id: z.string(),
  seq: z.number(),
  /** For `queued`: it is one when none of these has acknowledged it. */
  waiters: z.array(z.string()).optional(),
})
export type NamedMessage = z.infer<typeof NamedMessage>
/** A watch that still gets events: its digest, how often that was tried, and of which messages where not of all. */
const Left = z.object({ watch: z.string(), attempts: z.number(), only: z.array(z.number()).optional() })
export type Left = z.infer<typeof Left>

/**
 * Body of a job: what became of messages, for all watches of a client that it concerns, or for those that are left. The
 * messages themselves, services and URLs stay where they are.
 */
export const WatchEvents = z.object({
  clientId: z.string(),
  type: z.enum(['subscriber', 'publisher']),
  status: z.enum(['accepted', 'queued', 'delivered']),
  at: z.number(),
  messages: z.array(NamedMessage),
  left: z.array(Left).optional(),
})
export type WatchEvents = z.infer<typeof WatchEvents>

/** Body of a job: a service is to be asked whether it wants the events of its watch. */
export const WatchChallenge = z.object({ clientId: z.string(), challenge: z.string() })
export type WatchChallenge = z.infer<typeof WatchChallenge>

/** Names a watch among those of its client, in few bytes. */
export const watchDigest = ({ service, url }: Pick<Watch, 'service' | 'url'>): string =>
  createHash('sha256').update(`${service}\0${url}`).digest('base64url').slice(0, 16)

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)

export const challengeJob = (watch: Watch, now: number): Job => {
  const { clientId } = watch
  const digest = watchDigest(watch)
  const body: WatchChallenge = { clientId, challenge: digest }
  return {
    queue: WATCH_QUEUE,
    id: `challenge.${digestOf(clientId)}.${digest}`,
    group: clientId,
    at: now,
    expiresAt: now + CHALLENGE_TTL_MS,
    attempts: 0,
    body,
  }
}

type EventMessage = NamedMessage & Pick<StoredMessage, 'expiresAt'>
type EventGroup = { about: Omit<WatchEvents, 'messages'>; messages: EventMessage[] }

/** Collects events, so that they are few jobs however many messages and watches they are about. */
export interface EventJobs {
  add(watch: Watch, status: WatchStatus, message: EventMessage): void
  /** Events so far. */
  count(): number
  all(): Job[]
}

export const createEventJobs = (
  now: number,
  nextOrder: () => string,
  queueOf: (clientId: string) => string,
): EventJobs => {
  const groups = new Map<string, EventGroup>()
  let count = 0

  const jobOf = (about: EventGroup['about'], messages: readonly EventMessage[]): Job => {
    const body: WatchEvents = {
      ...about,
      messages: messages.map(({ topic, id, seq, waiters }) => ({
        topic,
        id,
        seq,
        ...(waiters && { waiters }),
      })),
    }
    const lastExpiresAt = Math.max(...messages.map(({ expiresAt }) => expiresAt))
    return {
      queue: queueOf(about.clientId),
      id: `${nextOrder()}.${digestOf(JSON.stringify(body))}`,
      group: about.clientId,
      at: about.status === 'queued' ? now + QUEUED_AFTER_MS : now,
      expiresAt: Math.min(lastExpiresAt, now + WATCH_LIMITS.retryFor * 1000),
      attempts: 0,
      body,
    }
  }

  return {
    add({ clientId, type }, status, message) {
      const key = [clientId, type, status].join('\0')
      const group = groups.get(key) ?? { about: { clientId, type, status, at: now }, messages: [] }
      groups.set(key, group)
      // Another watch of the client gets it by the same job.
      if (group.messages.at(-1) === message) return
      count++
      group.messages.push(message)
    },
    count: () => count,
    all: () =>
      [...groups.values()].flatMap(({ about, messages }) =>
        Array.from({ length: Math.ceil(messages.length / MAX_POST_EVENTS) }, (_, n) =>
          jobOf(about, messages.slice(n * MAX_POST_EVENTS, (n + 1) * MAX_POST_EVENTS)),
        ),
      ),
  }
}
