/**
 * Brings the events of watches to the services that asked: `POST <whu> {"eventAuth": [jwt, …]}`.
 *
 * An event is posted until it was answered, at least once, as long as its watch stands and its message lives, three days
 * at most; `targets` says what is an answer and when a watch ends. Again after 1 s, doubling up to 5 minutes.
 *
 * A trusted client's service in the same process is told its events as values, by the same jobs.
 *
 * The service of a client that is not trusted is asked first, by a POST without events, signed in its `Authorization`
 * header (`act: irn_watchChallenge`); what happens meanwhile waits. It agrees with 2xx; after four tries its watch is gone.
 *
 * Two workers, each with a queue of its own: events of strangers hold up nothing of the trusted client. Each stranger has
 * so many places.
 */
import { createWorker, type Job, type JobOutcome, type JobQueue } from '../../platform/jobs/job-queue.ts'
import { HostNotAsked } from '../../platform/net/host-gate.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import type { RelayStore, Watch } from '../store.ts'
import {
  type Left,
  TRUSTED_WATCH_QUEUE,
  WATCH_QUEUE,
  WatchChallenge,
  WatchEvents,
  watchDigest,
} from './jobs.ts'
import type { InsideService, Post } from './posts.ts'
import { createWatchTargets, FIRST_PAUSE_MS, pauseAfter, type WatchTargets } from './targets.ts'

const MAX_CONCURRENT_JOBS = 256
/** Jobs of strangers wait for places at hosts, which are the bound. */
const MAX_CONCURRENT_STRANGER_JOBS = 1_024
const MAX_JOBS_PER_STRANGER = 16
/** Long enough to post all events of one target, one POST after the other. */
const LEASE_MS = 120_000
/** The house answers at once or not at all; wallets wait for what a killed relay had leased. */
const TRUSTED_LEASE_MS = 20_000
/** Between the tries of a challenge. */
const CHALLENGE_PAUSES_MS = [10_000, 60_000, 600_000]
/** Events of a watch whose service has not agreed yet are looked at again at least so often. */
const MAX_UNAGREED_PAUSE_MS = 10_000

interface WorkDeps {
  store: Pick<RelayStore, 'watches' | 'changeWatch'>
  targets: WatchTargets
  clock: Clock
  log: Log
}

interface Remaining {
  left: Left
  hasFailed: boolean
  again: number
}

/** Posts the events to one service; what remains of them, undefined when nothing does. */
const deliver = async (
  { targets, clock }: WorkDeps,
  watch: Watch,
  events: WatchEvents,
  signal: AbortSignal,
): Promise<Remaining | undefined> => {
  const digest = watchDigest(watch)
  const before = events.left?.find((one) => one.watch === digest)
  const attempts = before?.attempts ?? 0
  const only = before?.only ?? events.messages.map((_, at) => at)
  if (watch.state === 'asked') {
    const again = clock.now() + Math.min(pauseAfter(attempts + 1), MAX_UNAGREED_PAUSE_MS)
    return { left: { ...before, watch: digest, attempts: attempts + 1 }, hasFailed: false, again }
  }
  const messages = events.messages.filter((_, at) => only.includes(at))
  const { outcomes, again } = await targets.deliver(watch, events, { messages, attempts }, signal)
  const rest = only.filter((_, at) => outcomes[at] !== 'answered')
  if (rest.length === 0) return undefined
  const hasFailed = outcomes.includes('failed')
  const left: Left = { watch: digest, attempts: attempts + (hasFailed ? 1 : 0) }
  if (rest.length < events.messages.length) left.only = rest
  return { left, hasFailed, again }
}

/** Asks a service whether it wants the events of its watch. */
const challenge = async (
  { store, targets, clock, log }: WorkDeps,
  { id, attempts }: Job,
  { clientId, challenge: digest }: WatchChallenge,
  signal: AbortSignal,
): Promise<JobOutcome> => {
  const watches = await store.watches([clientId], clock.now())
  const watch = watches.find((one) => watchDigest(one) === digest)
  if (watch?.state !== 'asked') return { id, kind: 'done' }
  try {
    if (await targets.agrees(watch, signal)) {
      await store.changeWatch(watch, { state: 'active' })
      return { id, kind: 'done' }
    }
  } catch (err) {
    if (err instanceof HostNotAsked) return { id, kind: 'again', at: err.until, attempts }
    log.debug({ err }, 'A webhook could not be asked whether it wants events')
  }
  const pauseMs = CHALLENGE_PAUSES_MS[attempts]
  if (pauseMs !== undefined) return { id, kind: 'again', at: clock.now() + pauseMs, attempts: attempts + 1 }
  await store.changeWatch(watch, 'gone')
  return { id, kind: 'done' }
}

const createWork =
  (deps: WorkDeps) =>
  async (job: Job, signal: AbortSignal): Promise<JobOutcome> => {
    const { id, attempts } = job
    const asked = WatchChallenge.safeParse(job.body)
    if (asked.success) return challenge(deps, job, asked.data, signal)
    const events = WatchEvents.parse(job.body)
    const { clientId, type, status, left } = events
    const watches = (await deps.store.watches([clientId], deps.clock.now())).filter(
      (watch) =>
        watch.type === type &&
        watch.statuses.includes(status) &&
        (!left || left.some((one) => one.watch === watchDigest(watch))),
    )
    const all = await Promise.all(watches.map((watch) => deliver(deps, watch, events, signal)))
    const remaining = all.filter((one) => one !== undefined)
    if (remaining.length === 0) return { id, kind: 'done' }
    return {
      ...{ id, kind: 'again', at: Math.min(...remaining.map(({ again }) => again)) },
      attempts: attempts + (remaining.some(({ hasFailed }) => hasFailed) ? 1 : 0),
      body: { ...events, left: remaining.map((one) => one.left) },
    }
  }

export const createWatchEvents = (deps: {
  store: Pick<RelayStore, 'message' | 'pending' | 'watches' | 'changeWatch'>
  jobQueue: JobQueue
  key: SigningKey
  /** To the public internet only, and to any address. */
  post: { outside: Post; anywhere: Post }
  /** The trusted client's service, where it is in this process. */
  inside?: InsideService | undefined
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { jobQueue, post, clock, log, meter } = deps
  const worker = (
    queue: string,
    ways: { post: Post; inside: InsideService | undefined },
    lasting: boolean,
    places: object,
  ) => {
    const targets = createWatchTargets({ ...deps, ...ways }, { lasting })
    const work = createWork({ ...deps, targets })
    return createWorker(
      { jobQueue, clock, log, meter },
      {
        queue,
        concurrency: MAX_CONCURRENT_JOBS,
        lease: LEASE_MS,
        retryAfter: FIRST_PAUSE_MS,
        work,
        ...places,
      },
    )
  }
  const perStranger = { ownerOf: ({ group }: Job) => group, each: MAX_JOBS_PER_STRANGER }
  const workers = [
    worker(TRUSTED_WATCH_QUEUE, { post: post.anywhere, inside: deps.inside }, true, {
      lease: TRUSTED_LEASE_MS,
    }),
    worker(WATCH_QUEUE, { post: post.outside, inside: undefined }, false, {
      concurrency: MAX_CONCURRENT_STRANGER_JOBS,
      share: perStranger,
    }),
  ]
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((one) => one[Symbol.asyncDispose]()))
    },
  }
}
