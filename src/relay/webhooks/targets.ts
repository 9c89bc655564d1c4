/**
 * The webhooks that this process posts to now: one POST at a time for each watch, and what waits meanwhile goes out
 * together with the next. A webhook that failed is left alone until its pause is over, with all that waits for it. A watch
 * ends when its service does not want it any more:
 *
 * | answer                       | for the events      | for the watch                                              |
 * |------------------------------|---------------------|------------------------------------------------------------|
 * | 2xx, 3xx                     | answered            | well: earlier refusals and failures are forgotten          |
 * | 404, 410                     | answered, unwanted  | gone after five in a row                                   |
 * | other 4xx, address not asked | answered, unwanted  | gone after twenty in a row                                 |
 * | 5xx, none within 10 s        | tried again         | gone when nothing was answered well for three days         |
 */

import { HostNotAsked } from '../../platform/net/host-gate.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import type { RelayStore, StoredMessage, Watch } from '../store.ts'
import { MAX_POST_EVENTS, type NamedMessage, type WatchEvents, watchDigest } from './jobs.ts'
import { createWatchPosts, type InsideService, type Post, type WatchPosts } from './posts.ts'
import { createStanding, type Standing, type WatchHealth } from './standing.ts'

/** Events for one watch that this process has leased at a time: all of them are posted before their leases end. */
const MAX_TARGET_EVENTS = 512
/** Characters of the messages of one POST. */
const MAX_POST_CHARACTERS = 512 * 1024
/** Messages that are looked up at once for it. */
const LOOK_UP_SIZE = 16
export const FIRST_PAUSE_MS = 1_000
const MAX_PAUSE_MS = 300_000
/** Between two tries of events that there is no room for. */
const NO_ROOM_PAUSE_MS = 500

export const pauseAfter = (attempts: number): number =>
  Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempts - 1, 20), MAX_PAUSE_MS)

/** `later`: it was not tried. */
export type EventOutcome = 'answered' | 'failed' | 'later'

/** One event that waits. Its message is looked up when it is posted. */
interface Item {
  events: WatchEvents
  named: NamedMessage
  attempts: number
  complete: (outcome: EventOutcome) => void
}
type ReadyItem = Item & { message: StoredMessage }

interface Target extends WatchHealth {
  waiting: Item[]
  /** Looked up, and no room for in the last POST. */
  ready: ReadyItem[]
  /** Events that wait or are being posted. */
  count: number
  isBusy: boolean
  pausedUntil: number
}

export interface WatchTargetsDeps {
  store: Pick<RelayStore, 'message' | 'pending' | 'changeWatch'>
  key: SigningKey
  post: Post
  inside?: InsideService | undefined
  clock: Clock
  log: Log
  meter: Meter
}

export interface WatchTargets {
  /** Whether the service wants the events of its watch: a POST without events is answered 2xx. */
  agrees(watch: Watch, signal: AbortSignal): Promise<boolean>
  /** What became of each event, and when to come again with those that are not answered. */
  deliver(
    watch: Watch,
    events: WatchEvents,
    what: { messages: readonly NamedMessage[]; attempts: number },
    signal: AbortSignal,
  ): Promise<{ outcomes: EventOutcome[]; again: number }>
}

/** `lasting`: watches that no answer ends. */
export const createWatchTargets = (
  deps: WatchTargetsDeps,
  { lasting }: { lasting: boolean },
): WatchTargets => {
  const { clock } = deps
  const targets = new Map<string, Target>()
  const posts = createWatchPosts(deps)
  const runDeps = { ...deps, posts, standing: createStanding(deps, { lasting }) }

  const dropUnused = () => {
    const now = clock.now()
    for (const [name, { count, pausedUntil }] of targets) {
      if (count === 0 && pausedUntil <= now) targets.delete(name)
    }
  }

  return {
    async agrees(watch, signal) {
      const status = await posts.challenge(watch, signal)
      return status >= 200 && status < 300
    },

    async deliver(watch, events, { messages, attempts }, signal) {
      const now = clock.now()
      const name = `${watch.clientId} ${watchDigest(watch)}`
      const target = targets.get(name) ?? newTarget(watch)
      const none = (again: number) => ({ outcomes: messages.map(() => 'later' as const), again })
      if (target.pausedUntil > now) return none(target.pausedUntil)
      if (target.count > 0 && target.count + messages.length > MAX_TARGET_EVENTS) {
        return none(now + NO_ROOM_PAUSE_MS)
      }
      targets.set(name, target)
      target.watch = watch
      target.count += messages.length
      try {
        const outcomes = messages.map(
          (named) =>
            new Promise<EventOutcome>((complete) =>
              target.waiting.push({ events, named, attempts, complete }),
            ),
        )
        if (!target.isBusy) void run(runDeps, target, signal)
        return { outcomes: await Promise.all(outcomes), again: Math.max(target.pausedUntil, clock.now()) }
      } finally {
        target.count -= messages.length
        if (target.count === 0) dropUnused()
      }
    },
  }
}

const newTarget = (watch: Watch): Target => {
  const { refusals, failingSince } = watch
  return {
    ...{ watch, waiting: [], ready: [], count: 0, isBusy: false, pausedUntil: 0 },
    ...{ refusals, failingSince },
  }
}

type RunDeps = WatchTargetsDeps & { posts: WatchPosts; standing: Standing }

/** Posts what waits for the webhook, batch after batch, until nothing does or it fails. */
const run = async (deps: RunDeps, target: Target, signal: AbortSignal): Promise<void> => {
  const { clock, log, meter } = deps
  target.isBusy = true
  while (target.waiting.length + target.ready.length > 0) {
    let batch: ReadyItem[] = []
    try {
      batch = await nextBatch(deps, target)
      if (batch.length === 0) continue
      const outcome = await postBatch(deps, target, batch, signal)
      meter.count('relay_watch_posts_total', { outcome })
      if (outcome === 'failed') {
        const attempts = Math.max(...batch.map((one) => one.attempts))
        pauseUntil(target, clock.now() + pauseAfter(attempts + 1))
      }
      for (const { complete } of batch) complete(outcome)
    } catch (err) {
      log.warn({ err }, 'Events for a webhook could not be read; trying again')
      pauseUntil(target, clock.now() + FIRST_PAUSE_MS)
      for (const { complete } of batch) complete('later')
    }
  }
  target.isBusy = false
}

/** Leaves the webhook alone for a while, with all that waits for it. */
const pauseUntil = (target: Target, until: number): void => {
  target.pausedUntil = until
  for (const { complete } of [...target.ready.splice(0), ...target.waiting.splice(0)]) complete('later')
}

const postBatch = async (
  { posts, standing, log }: RunDeps,
  target: Target,
  batch: readonly ReadyItem[],
  signal: AbortSignal,
): Promise<EventOutcome> => {
  try {
    const status = await posts.events(target.watch, batch, signal)
    await standing.answered(target, status)
    return status >= 500 ? 'failed' : 'answered'
  } catch (err) {
    if (err instanceof HostNotAsked) {
      pauseUntil(target, err.until)
      return 'later'
    }
    if (err instanceof ProtocolError && err.code === 'forbidden') {
      log.info({}, 'A webhook leads to an address that is not asked')
      await standing.refused(target)
      return 'answered'
    }
    log.debug({ err }, 'A webhook did not answer')
    await standing.failed(target)
    return 'failed'
  }
}

/** What waits for the webhook, from the front on, as much as goes into one POST. */
const nextBatch = async (deps: Pick<RunDeps, 'store' | 'clock'>, target: Target): Promise<ReadyItem[]> => {
  const { ready, waiting } = target
  let count = 0
  for (let characters = 0; count < MAX_POST_EVENTS; ) {
    const next = ready[count]
    if (next) {
      characters += next.message.message.length + next.message.attestation.length
      if (count > 0 && characters > MAX_POST_CHARACTERS) break
      count++
    } else {
      const some = waiting.slice(0, LOOK_UP_SIZE)
      if (some.length === 0) break
      ready.push(...(await Promise.all(some.map((item) => lookUp(deps, target, item)))).flat())
      waiting.splice(0, some.length)
    }
  }
  return ready.splice(0, count)
}

/** The event with its message, if its watch still wants it. */
const lookUp = async (
  deps: Pick<RunDeps, 'store' | 'clock'>,
  { watch }: Target,
  item: Item,
): Promise<ReadyItem[]> => {
  const { named, attempts, complete } = item
  const message = await deps.store.message(named.topic, named.id, deps.clock.now())
  const isWanted = message && watch.tags.includes(message.tag)
  if (isWanted && (attempts > 0 || !named.waiters || (await waitsForAll(deps, named)))) {
    return [{ ...item, message }]
  }
  complete('answered')
  return []
}

/** Whether none of the waiters has acknowledged the message. */
const waitsForAll = async (
  { store, clock }: Pick<RunDeps, 'store' | 'clock'>,
  { topic, id, seq, waiters = [] }: NamedMessage,
): Promise<boolean> => {
  for (const clientId of waiters) {
    const page = { after: seq - 1, limit: 1, maxBytes: 1, now: clock.now() }
    const [first] = (await store.pending(clientId, topic, page)).messages
    if (first?.id !== id) return false
  }
  return true
}
