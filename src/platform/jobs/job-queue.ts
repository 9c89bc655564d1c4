/**
 * Work for later: jobs that are kept in the store until they are done, whatever becomes of the process that added them.
 *
 * Guarantees: a job is done at least once; of several workers one has it at a time, until its lease ends; an id is
 * taken once in its queue, as long as the job is there. A job that failed for good stays as a dead letter, to be looked
 * at and revived, until it expires. Times are unix ms and come from the caller; promises resolve when the effect is
 * durable.
 */

import { createBatcher } from '../concurrency/batcher.ts'
import { type Clock, pause } from '../runtime/clock.ts'
import type { Log, Meter } from '../telemetry.ts'

export interface Job {
  queue: string
  /** Unique in its queue; at most 512 bytes. */
  id: string
  /** Whose it is: jobs are listed and counted by it. */
  group: string
  /** When it is due. */
  at: number
  /** Gone from here on, done or not. */
  expiresAt: number
  /** How often it was tried without success. */
  attempts: number
  /** Why it will not be tried again by itself; absent while it will be. */
  failure?: string
  /** JSON. */
  body: unknown
}

/** What became of a job that was taken. `again` may change its body: how far it has come. */
export type JobOutcome =
  | { id: string; kind: 'done' }
  | { id: string; kind: 'again'; at: number; attempts: number; body?: unknown }
  | { id: string; kind: 'failed'; attempts: number; failure: string }

export interface JobQueue {
  /** Answers for each whether it is new; one whose id is there already is left as it is. */
  add(jobs: readonly Job[]): Promise<boolean[]>
  /** Due jobs, the longest due first, that are nobody else's before `until`. Dead letters and expired ones are not. */
  take(lease: { queue: string; limit: number; now: number; until: number }): Promise<Job[]>
  /** After a take. Jobs that were removed meanwhile stay removed. */
  complete(queue: string, outcomes: readonly JobOutcome[]): Promise<void>
  /** Takes jobs away, whether or not somebody works on them. Answers for each whether it was there. */
  remove(queue: string, ids: readonly string[]): Promise<boolean[]>
  /** Makes a dead letter due; a job that is none is left as it is. Answers whether it was one. */
  revive(queue: string, id: string, at: number): Promise<boolean>
  job(queue: string, id: string): Promise<Job | undefined>
  /** A page of a group's jobs in the order of their ids: the dead ones, or those that are not. */
  list(
    queue: string,
    page: { group: string; dead: boolean; after?: string | undefined; limit: number },
  ): Promise<Job[]>
  count(queue: string, group: string): Promise<{ waiting: number; dead: number }>
  /** Removes at most `limit` expired ones of all queues; answers how many. */
  sweep(now: number, limit: number): Promise<number>
  /** Calls the listener, soon, when jobs were added to the queue here or by another process. Calls may be lost. */
  onJobs(queue: string, listener: () => void): Disposable
}

/** Owners share the places of a worker: each has at most so many at a time. */
export interface WorkerShare {
  ownerOf: (job: Job) => string
  each: number
}

/** How long a job takes, as long as nothing is known of its owner's, ms. */
const PACE = 100
const LONGEST_PUT_OFF = 300_000
const MAX_OWNERS = 10_000

/**
 * Places by owner. What finds all places of its owner taken is put off to when the owner will have come that far, at its
 * present pace, so that it costs the queue little.
 */
const createPlaces = (now: () => number, { ownerOf, each }: WorkerShare) => {
  const owners = new Map<string, { held: number; pace: number; promised: number }>()
  const tidy = () => {
    for (const [name, { held, promised }] of owners) if (held === 0 && promised <= now()) owners.delete(name)
  }
  return {
    /** Answers how the place is given back, or when to come again. */
    enter(job: Job): (() => void) | number {
      const name = ownerOf(job)
      if (owners.size >= MAX_OWNERS) tidy()
      const owner = owners.get(name) ?? { held: 0, pace: PACE, promised: 0 }
      owners.set(name, owner)
      if (owner.held >= each) {
        const step = Math.max(owner.pace / each, 1)
        owner.promised = Math.min(Math.max(owner.promised, now()) + step, now() + LONGEST_PUT_OFF)
        return Math.ceil(owner.promised)
      }
      owner.held += 1
      const startedAt = now()
      return () => {
        owner.held -= 1
        owner.pace = (owner.pace * 3 + now() - startedAt) / 4
        if (owner.held === 0 && owner.promised <= now()) owners.delete(name)
      }
    },
  }
}

/** Without news a queue is looked at this often, ms; so a job is at most so much late. */
const POLL = 1_000
/** At the end, work that has begun may take so long, ms. */
const GRACE = 5_000

/**
 * Takes the due jobs of a queue and has each worked on, at most `concurrency` at a time. `work` answers what became of
 * the job; when it throws, the job is tried again after `retryAfter`. Its signal is aborted when the lease ends or the
 * worker is disposed of.
 */
export const createWorker = (
  deps: { jobQueue: JobQueue; clock: Clock; log: Log; meter: Meter },
  options: {
    queue: string
    concurrency: number
    /** How long a job may take, ms. */
    lease: number
    /** ms. */
    retryAfter: number
    /** Default: whose jobs come first has the places. */
    share?: WorkerShare
    work(job: Job, signal: AbortSignal): Promise<JobOutcome>
  },
): AsyncDisposable => {
  const { jobQueue, clock, log, meter } = deps
  const { queue, concurrency, lease, retryAfter, share, work } = options
  const places = share && createPlaces(clock.now, share)
  const ending = new AbortController()
  const busy = new Set<Promise<void>>()
  let wake = () => {}

  /** Jobs that end at about the same time are one write. */
  const complete = createBatcher((outcomes: readonly JobOutcome[]) => jobQueue.complete(queue, outcomes))

  const putOff = async ({ id, attempts }: Job, at: number): Promise<void> => {
    meter.count('agenda_jobs_total', { queue, outcome: 'put_off' })
    await complete({ id, kind: 'again', at, attempts }).catch((err: unknown) => {
      log.warn({ err, queue }, 'A job could not be put off; it is free when its lease ends')
    })
  }

  const one = async (job: Job): Promise<void> => {
    const leave = places?.enter(job)
    if (typeof leave === 'number') return putOff(job, leave)
    const late = new AbortController()
    const timer = clock.after(lease, () => late.abort())
    try {
      const outcome = await work(job, AbortSignal.any([late.signal, ending.signal])).catch(
        (err: unknown): JobOutcome => {
          // Cut off by the end of this process: no attempt, and nothing to wait for.
          if (ending.signal.aborted) {
            return { id: job.id, kind: 'again', at: clock.now(), attempts: job.attempts }
          }
          log.error({ err, queue }, 'A job could not be done; it is tried again')
          return { id: job.id, kind: 'again', at: clock.now() + retryAfter, attempts: job.attempts + 1 }
        },
      )
      meter.count('agenda_jobs_total', { queue, outcome: outcome.kind })
      // Somebody else has it by now.
      if (!late.signal.aborted) await complete(outcome)
    } catch (err) {
      // Its lease ends by itself.
      log.warn({ err, queue }, 'What became of a job could not be kept; it is done again')
    } finally {
      timer[Symbol.dispose]()
      leave?.()
    }
  }

  const take = async (): Promise<number> => {
    const now = clock.now()
    const limit = concurrency - busy.size
    const jobs = await jobQueue.take({ queue, limit, now, until: now + lease })
    for (const job of jobs) {
      const working = one(job).finally(() => {
        busy.delete(working)
        wake()
      })
      busy.add(working)
    }
    return jobs.length
  }

  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      const rung = new AbortController()
      wake = () => rung.abort()
      try {
        if (busy.size < concurrency && (await take()) > 0 && busy.size < concurrency) continue
      } catch (err) {
        log.warn({ err, queue }, 'Jobs could not be taken; trying again')
      }
      await pause(clock, POLL, AbortSignal.any([rung.signal, ending.signal]))
    }
  }
  const news = jobQueue.onJobs(queue, () => wake())
  const running = run()

  return {
    async [Symbol.asyncDispose]() {
      news[Symbol.dispose]()
      ending.abort()
      await running
      const done = new AbortController()
      const all = Promise.all(busy).finally(() => done.abort())
      await Promise.race([all, pause(clock, GRACE, done.signal)])
    },
  }
}
