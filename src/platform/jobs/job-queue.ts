/**
 * Durable jobs: they stay in the store until they are done, whatever becomes of the process that added them.
 *
 * Guarantees: a job is done at least once. Of several workers one has it at a time, until its lease ends. An id is
 * unique in its queue for as long as its job exists. A job that failed for good stays as a dead letter until it expires;
 * an operator may read and revive it. Times are unix ms and come from the caller; promises resolve when the effect is
 * durable.
 */

import { createBatcher } from '../concurrency/batcher.ts'
import { invariant } from '../invariant.ts'
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
  /** Returns for each whether it is new; one whose id exists is left as it is. */
  add(jobs: readonly Job[]): Promise<boolean[]>
  /** Due jobs, the longest due first, that no other worker has before `until`. Dead letters and expired ones are not. */
  take(lease: { queue: string; limit: number; now: number; until: number }): Promise<Job[]>
  /** After a take. Jobs that were removed meanwhile stay removed. */
  complete(queue: string, outcomes: readonly JobOutcome[]): Promise<void>
  /** Removes jobs, whether or not a worker has them. Returns for each whether it was there. */
  remove(queue: string, ids: readonly string[]): Promise<boolean[]>
  /** Makes a dead letter due; a job that is none is left as it is. Returns whether it was one. */
  revive(queue: string, id: string, at: number): Promise<boolean>
  job(queue: string, id: string): Promise<Job | undefined>
  /** A page of a group's jobs in the order of their ids: the dead ones, or those that are not. */
  list(
    queue: string,
    page: { group: string; dead: boolean; after?: string | undefined; limit: number },
  ): Promise<Job[]>
  count(queue: string, group: string): Promise<{ waiting: number; dead: number }>
  /** Removes at most `limit` expired ones of all queues; returns how many. */
  sweep(now: number, limit: number): Promise<number>
  /** Calls the listener, soon, when jobs were added to the queue here or by another process. Calls may be lost. */
  onJobs(queue: string, listener: () => void): Disposable
}

/** Owners share the slots of a worker: each has at most so many at a time. */
export interface WorkerShare {
  ownerOf: (job: Job) => string
  each: number
}

/** How long a job takes, as long as nothing is known of its owner's. */
const INITIAL_PACE_MS = 100
const MAX_DELAY_MS = 300_000
const MAX_OWNERS = 10_000

/**
 * Slots by owner. A job that finds all slots of its owner taken is put off to when the owner will have come that far, at its
 * present pace, so that it costs the queue little.
 */
const createSlots = (now: () => number, { ownerOf, each }: WorkerShare) => {
  const owners = new Map<string, { running: number; paceMs: number; promisedAt: number }>()
  const removeIdle = () => {
    for (const [name, { running, promisedAt }] of owners) {
      if (running === 0 && promisedAt <= now()) owners.delete(name)
    }
  }
  return {
    /** Returns how the slot is released, or when the job may come again. */
    enter(job: Job): (() => void) | number {
      const name = ownerOf(job)
      if (owners.size >= MAX_OWNERS) removeIdle()
      const owner = owners.get(name) ?? { running: 0, paceMs: INITIAL_PACE_MS, promisedAt: 0 }
      owners.set(name, owner)
      if (owner.running >= each) {
        const stepMs = Math.max(owner.paceMs / each, 1)
        owner.promisedAt = Math.min(Math.max(owner.promisedAt, now()) + stepMs, now() + MAX_DELAY_MS)
        return Math.ceil(owner.promisedAt)
      }
      owner.running += 1
      const startedAt = now()
      return () => {
        owner.running -= 1
        invariant(owner.running >= 0, 'an owner has no fewer than 0 jobs in progress')
        owner.paceMs = (owner.paceMs * 3 + now() - startedAt) / 4
        if (owner.running === 0 && owner.promisedAt <= now()) owners.delete(name)
      }
    },
  }
}

/** Without a notification a queue is read this often; a job is at most so much late. */
const POLL_INTERVAL_MS = 1_000
/** When the worker is disposed of, work that has begun may take so long. */
const SHUTDOWN_GRACE_MS = 5_000

interface WorkerDeps {
  jobQueue: JobQueue
  clock: Clock
  log: Log
  meter: Meter
}

interface WorkerOptions {
  queue: string
  concurrency: number
  /** How long a job may take, ms. */
  lease: number
  /** ms. */
  retryAfter: number
  /** Default: the jobs that come first have the slots, whatever their owner. */
  share?: WorkerShare
  work(job: Job, signal: AbortSignal): Promise<JobOutcome>
}

interface WorkerState extends WorkerDeps, WorkerOptions {
  slots: ReturnType<typeof createSlots> | undefined
  ending: AbortController
  busy: Set<Promise<void>>
  wake: () => void
  complete: (outcome: JobOutcome) => Promise<void>
}

const putOff = async (
  { meter, log, queue, complete }: WorkerState,
  { id, attempts }: Job,
  at: number,
): Promise<void> => {
  meter.count('agenda_jobs_total', { queue, outcome: 'put_off' })
  await complete({ id, kind: 'again', at, attempts }).catch((err: unknown) => {
    log.warn({ err, queue }, 'A job could not be put off; it is free when its lease ends')
  })
}

/** The outcome of a job whose work threw. */
const retryOf = (
  { ending, clock, log, queue, retryAfter }: WorkerState,
  { id, attempts }: Job,
  err: unknown,
): JobOutcome => {
  // Cut off by the end of this process: it counts as no attempt, and is due at once.
  if (ending.signal.aborted) return { id, kind: 'again', at: clock.now(), attempts }
  log.error({ err, queue }, 'A job could not be done; it is tried again')
  return { id, kind: 'again', at: clock.now() + retryAfter, attempts: attempts + 1 }
}

const runJob = async (worker: WorkerState, job: Job): Promise<void> => {
  const { slots, clock, lease, ending, meter, log, queue, work } = worker
  const leave = slots?.enter(job)
  if (typeof leave === 'number') return putOff(worker, job, leave)
  const late = new AbortController()
  const timer = clock.after(lease, () => late.abort())
  try {
    const signal = AbortSignal.any([late.signal, ending.signal])
    const outcome = await meter.span(`job ${queue}`, {}, async (span) => {
      const ended = await work(job, signal).catch((err: unknown) => retryOf(worker, job, err))
      span.set({ 'belfry.outcome': ended.kind })
      return ended
    })
    meter.count('agenda_jobs_total', { queue, outcome: outcome.kind })
    // After its lease another worker may have the job.
    if (!late.signal.aborted) await worker.complete(outcome)
  } catch (err) {
    // Its lease ends by itself.
    log.warn({ err, queue }, 'What became of a job could not be kept; it is done again')
  } finally {
    timer[Symbol.dispose]()
    leave?.()
  }
}

const takeJobs = async (worker: WorkerState): Promise<number> => {
  const { jobQueue, clock, queue, concurrency, lease, busy } = worker
  const now = clock.now()
  const limit = concurrency - busy.size
  const jobs = await jobQueue.take({ queue, limit, now, until: now + lease })
  invariant(jobs.length <= limit, 'a queue gives no more jobs than were asked for')
  for (const job of jobs) {
    const working = runJob(worker, job).finally(() => {
      busy.delete(working)
      worker.wake()
    })
    busy.add(working)
  }
  return jobs.length
}

const runUntilEnded = async (worker: WorkerState): Promise<void> => {
  const { ending, busy, concurrency, log, queue, clock } = worker
  while (!ending.signal.aborted) {
    const woken = new AbortController()
    worker.wake = () => woken.abort()
    try {
      if (busy.size < concurrency && (await takeJobs(worker)) > 0 && busy.size < concurrency) continue
    } catch (err) {
      log.warn({ err, queue }, 'Jobs could not be taken; trying again')
    }
    await pause(clock, POLL_INTERVAL_MS, AbortSignal.any([woken.signal, ending.signal]))
  }
}

/**
 * Takes the due jobs of a queue and has each worked on, at most `concurrency` at a time. `work` returns what became of
 * the job; when it throws, the job is tried again after `retryAfter`. Its signal is aborted when the lease ends or the
 * worker is disposed of.
 */
export const createWorker = (deps: WorkerDeps, options: WorkerOptions): AsyncDisposable => {
  const { jobQueue, clock } = deps
  const { queue, share } = options
  const worker: WorkerState = {
    ...deps,
    ...options,
    slots: share && createSlots(clock.now, share),
    ending: new AbortController(),
    busy: new Set(),
    wake: () => {},
    /** Jobs that end at about the same time are one write. */
    complete: createBatcher((outcomes: readonly JobOutcome[]) => jobQueue.complete(queue, outcomes)),
  }
  const listening = jobQueue.onJobs(queue, () => worker.wake())
  const running = runUntilEnded(worker)

  return {
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]()
      worker.ending.abort()
      await running
      const done = new AbortController()
      const all = Promise.all(worker.busy).finally(() => done.abort())
      await Promise.race([all, pause(clock, SHUTDOWN_GRACE_MS, done.signal)])
    },
  }
}
