/**
 * Brings the events of watches to the services that asked: `POST <whu> {"eventAuth": [jwt, …]}`.
 *
 * An event is tried until it was answered, at least once, as long as its watch stands and its message lives, three days
 * at most; `watch-targets` says what is an answer and when a watch ends. Again after 1 s, doubling up to 5 minutes.
 *
 * A service that nobody vouches for is asked first, by a POST without events, signed in its `Authorization` header
 * (`act: irn_watchChallenge`); what happens meanwhile waits. It agrees with 2xx; after four tries its watch is gone.
 *
 * Two workers, each with a queue of its own: what strangers have told holds up nothing of the client that is trusted. Of
 * the strangers each has so many places.
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
} from './registrations.ts'
import { createWatchTargets, FIRST_PAUSE, type Post, pauseAfter, type WatchTargets } from './targets.ts'

const CONCURRENCY = 256
/** Jobs of strangers wait for places at hosts, which are the bound. */
const STRANGERS = 1_024
const PER_STRANGER = 16
/** All that one holds, posted one after the other, ms. */
const LEASE = 120_000
/** The house answers at once or not at all; wallets wait for what a relay held that was killed. */
const TRUSTED_LEASE = 20_000
/** Between the tries of a challenge, ms. */
const CHALLENGE_PAUSES = [10_000, 60_000, 600_000]
/** Events of a watch whose service has not agreed yet are looked at again so often at least, ms. */
const ASKED_PAUSE = 10_000

interface Remaining {
  left: Left
  hasFailed: boolean
  again: number
}

const createWork = ({
  store,
  targets,
  clock,
  log,
}: { store: Pick<RelayStore, 'watches' | 'changeWatch'> } & {
  targets: WatchTargets
  clock: Clock
  log: Log
}) => {
  const tell = async (
    watch: Watch,
    events: WatchEvents,
    signal: AbortSignal,
  ): Promise<Remaining | undefined> => {
    const name = watchDigest(watch)
    const before = events.left?.find((one) => one.watch === name)
    const attempts = before?.attempts ?? 0
    const only = before?.only ?? events.messages.map((_, at) => at)
    if (watch.state === 'asked') {
      const again = clock.now() + Math.min(pauseAfter(attempts + 1), ASKED_PAUSE)
      return { left: { ...before, watch: name, attempts: attempts + 1 }, hasFailed: false, again }
    }
    const messages = events.messages.filter((_, at) => only.includes(at))
    const { fates, again } = await targets.tell(watch, events, { messages, attempts }, signal)
    const rest = only.filter((_, at) => fates[at] !== 'answered')
    if (rest.length === 0) return undefined
    const hasFailed = fates.includes('failed')
    const left: Left = { watch: name, attempts: attempts + (hasFailed ? 1 : 0) }
    if (rest.length < events.messages.length) left.only = rest
    return { left, hasFailed, again }
  }

  const challenge = async (
    { id, attempts }: Job,
    { clientId, challenge: name }: { clientId: string; challenge: string },
    signal: AbortSignal,
  ): Promise<JobOutcome> => {
    const watches = await store.watches([clientId], clock.now())
    const watch = watches.find((one) => watchDigest(one) === name)
    if (watch?.state !== 'asked') return { id, kind: 'done' }
    try {
      if (await targets.asks(watch, signal)) {
        await store.changeWatch(watch, { state: 'active' })
        return { id, kind: 'done' }
      }
    } catch (err) {
      if (err instanceof HostNotAsked) return { id, kind: 'again', at: err.until, attempts }
      log.debug({ err }, 'A webhook could not be asked whether it wants events')
    }
    const pause = CHALLENGE_PAUSES[attempts]
    if (pause !== undefined) return { id, kind: 'again', at: clock.now() + pause, attempts: attempts + 1 }
    await store.changeWatch(watch, 'gone')
    return { id, kind: 'done' }
  }

  return async (job: Job, signal: AbortSignal): Promise<JobOutcome> => {
    const { id, attempts } = job
    const asked = WatchChallenge.safeParse(job.body)
    if (asked.success) return challenge(job, asked.data, signal)
    const events = WatchEvents.parse(job.body)
    const { clientId, type, status, left } = events
    const watches = (await store.watches([clientId], clock.now())).filter(
      (watch) =>
        watch.type === type &&
        watch.statuses.includes(status) &&
        (!left || left.some((one) => one.watch === watchDigest(watch))),
    )
    const all = await Promise.all(watches.map((watch) => tell(watch, events, signal)))
    const remaining = all.filter((one) => one !== undefined)
    if (remaining.length === 0) return { id, kind: 'done' }
    return {
      ...{ id, kind: 'again', at: Math.min(...remaining.map(({ again }) => again)) },
      attempts: attempts + (remaining.some(({ hasFailed }) => hasFailed) ? 1 : 0),
      body: { ...events, left: remaining.map((one) => one.left) },
    }
  }
}

export const createWatchEvents = (deps: {
  store: Pick<RelayStore, 'message' | 'pending' | 'watches' | 'changeWatch'>
  jobQueue: JobQueue
  key: SigningKey
  /** To the public internet only, and to any address. */
  post: { outside: Post; anywhere: Post }
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { jobQueue, post, clock, log, meter } = deps
  const worker = (queue: string, postIt: Post, lasting: boolean, places: object) => {
    const targets = createWatchTargets({ ...deps, post: postIt }, { lasting })
    const work = createWork({ ...deps, targets })
    return createWorker(
      { jobQueue, clock, log, meter },
      { queue, concurrency: CONCURRENCY, lease: LEASE, retryAfter: FIRST_PAUSE, work, ...places },
    )
  }
  const perStranger = { ownerOf: ({ group }: Job) => group, each: PER_STRANGER }
  const workers = [
    worker(TRUSTED_WATCH_QUEUE, post.anywhere, true, { lease: TRUSTED_LEASE }),
    worker(WATCH_QUEUE, post.outside, false, { concurrency: STRANGERS, share: perStranger }),
  ]
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((one) => one[Symbol.asyncDispose]()))
    },
  }
}
