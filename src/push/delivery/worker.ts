/**
 * Takes what is due from the queues, and has it sent. A queue is what one project has for one provider: each has places of its
 * own, so that a million pushes of one project hold up nobody else's, and a provider that is down only its own.
 *
 * A queue that is known to have work, by word of mouth or because it had some within the last minute, is looked at four times a
 * second. All others take turns, a hundred a second: an idle project costs the store nearly nothing, and up to a hundred
 * projects are looked at every five seconds. After a start all are looked at once, sooner.
 */
import { createBreakers } from '../../platform/net/breakers.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { isServed, type Projects } from '../projects.ts'
import { PROVIDER_NAMES, type QueueName, type WaitingPush, type WaitingStore } from '../store.ts'
import type { Sender, SendResult } from './sender.ts'

/** Pushes under way: of one queue, and of all. Beyond that a queue still has a few. */
const MAX_QUEUE_PUSHES = 64
const MAX_PUSHES = 512
const MIN_QUEUE_PUSHES = 4
/** A push that takes longer gives its place to others; of one queue up to so many do. */
const SLOW_AFTER_MS = 1_000
const MAX_SLOW_PUSHES = 192
/** Long enough for eight messages, one after the other, to a provider that answers slowly. */
const LEASE_MS = 30_000
/** A push may take so long. */
const SEND_PATIENCE_MS = 20_000
const LOOK_EVERY_MS = 250
const LOOK_AT_ALL_EVERY_MS = 5_000
/** Queues without known work that are looked at at a time: of the first round, and later. */
const FIRST_TURNS = 250
const TURNS = 25
const ACTIVE_MS = 60_000
const SHUTDOWN_GRACE_MS = 5_000
/** Failures in a row after which a provider of a project is left alone for a pause that doubles. */
const BREAKER = { failures: 5, firstPauseMs: 1_000, longestPauseMs: 60_000, remembered: 10_000 }

const keyOf = ({ projectId, provider }: QueueName): string => `${projectId} ${provider}`

interface Queue extends QueueName {
  /** Pushes that have a place, and those that gave it up. */
  running: number
  slow: number
  /** Until when it is looked at often. */
  activeUntil: number
  isTaking: boolean
  /** There may be more: look again once a place is free. */
  isDirty: boolean
  /** Its provider asked not to be asked before. */
  restsUntil: number
}

interface WorkerDeps {
  store: Pick<WaitingStore, 'take' | 'onWaiting'>
  projects: Pick<Projects, 'list' | 'find'>
  send: Sender
  clock: Clock
  log: Log
}

/** How many pushes the queue may begin now. */
const placesOf = ({ running }: Queue, all: number): number => {
  const own = MAX_QUEUE_PUSHES - running
  return Math.max(Math.min(own, MAX_PUSHES - all), Math.min(own, MIN_QUEUE_PUSHES - running))
}

interface WorkerState extends WorkerDeps {
  queues: Map<string, Queue>
  busy: Set<Promise<void>>
  breakers: ReturnType<typeof createBreakers>
  ending: AbortController
}

const queueIn = ({ queues }: WorkerState, name: QueueName): Queue => {
  const key = keyOf(name)
  const known = queues.get(key)
  if (known) return known
  const { projectId, provider } = name
  const times = { activeUntil: 0, restsUntil: 0 }
  const queue = { projectId, provider, running: 0, slow: 0, ...times, isTaking: false, isDirty: false }
  queues.set(key, queue)
  return queue
}

/** What one push says about its provider. */
const learn = ({ breakers, clock }: WorkerState, queue: Queue, { isDown, afterMs = 0 }: SendResult): void => {
  if (!isDown) {
    breakers.good(keyOf(queue))
    return
  }
  breakers.bad(keyOf(queue))
  const until = clock.now() + Math.min(afterMs, BREAKER.longestPauseMs)
  queue.restsUntil = Math.max(queue.restsUntil, until)
}

const work = async (worker: WorkerState, queue: Queue, push: WaitingPush): Promise<void> => {
  const { breakers, ending, send, log } = worker
  const key = keyOf(queue)
  breakers.begun(key)
  try {
    const signal = AbortSignal.any([AbortSignal.timeout(SEND_PATIENCE_MS), ending.signal])
    learn(worker, queue, await send(push, signal))
  } catch (err) {
    breakers.released(key)
    // Its lease ends by itself.
    log.warn({ err, provider: queue.provider }, 'A push could not be made; it is tried again')
  }
}

const begin = (worker: WorkerState, queue: Queue, push: WaitingPush): void => {
  let isSlow = false
  const lookAgain = () => {
    if (queue.isDirty) void look(worker, queue)
  }
  const timer = worker.clock.after(SLOW_AFTER_MS, () => {
    if (queue.slow >= MAX_SLOW_PUSHES) return
    isSlow = true
    queue.running -= 1
    queue.slow += 1
    lookAgain()
  })
  queue.running += 1
  const working = work(worker, queue, push).finally(() => {
    timer[Symbol.dispose]()
    if (isSlow) queue.slow -= 1
    else queue.running -= 1
    worker.busy.delete(working)
    lookAgain()
  })
  worker.busy.add(working)
}

const isOpen = async ({ breakers, clock, projects }: WorkerState, queue: Queue): Promise<boolean> => {
  if (!breakers.allows(keyOf(queue)) || queue.restsUntil > clock.now()) return false
  const project = await projects.find(queue.projectId)
  // What waits for a project that was removed is dropped by the sender.
  return project === undefined || isServed(project, queue.provider)
}

const takeSome = async (worker: WorkerState, queue: Queue): Promise<void> => {
  const { store, clock, breakers, busy, ending } = worker
  while (queue.isDirty && !ending.signal.aborted) {
    const isProbe = breakers.until(keyOf(queue)) > 0
    const places = isProbe ? (queue.running + queue.slow === 0 ? 1 : 0) : placesOf(queue, busy.size)
    if (places <= 0 || !(await isOpen(worker, queue))) return
    queue.isDirty = false
    const now = clock.now()
    const pushes = await store.take(queue, { limit: places, now, until: now + LEASE_MS })
    if (pushes.length > 0) queue.activeUntil = now + ACTIVE_MS
    for (const push of pushes) begin(worker, queue, push)
    // Fewer than places: nothing more is due.
    if (pushes.length === places) queue.isDirty = true
    if (isProbe) return
  }
}

const look = async (worker: WorkerState, queue: Queue): Promise<void> => {
  queue.isDirty = true
  if (queue.isTaking) return
  queue.isTaking = true
  try {
    await takeSome(worker, queue)
  } catch (err) {
    worker.log.warn({ err }, 'Pushes could not be taken; trying again')
  } finally {
    queue.isTaking = false
  }
}

const allQueues = async ({ projects }: WorkerState): Promise<QueueName[]> => {
  const all = await projects.list().catch(() => [])
  return all.flatMap(({ id: projectId }) => PROVIDER_NAMES.map((provider) => ({ projectId, provider })))
}

const forgetIdle = ({ queues }: WorkerState, now: number): void => {
  for (const [key, { running, slow, activeUntil, restsUntil, isTaking }] of queues)
    if (running + slow === 0 && !isTaking && Math.max(activeUntil, restsUntil) < now) queues.delete(key)
}

const runUntilEnded = async (worker: WorkerState): Promise<void> => {
  const { clock, ending, queues } = worker
  let rest: QueueName[] = []
  let turns = FIRST_TURNS
  for (let roundAt = 0; !ending.signal.aborted; ) {
    const now = clock.now()
    if (rest.length === 0 && roundAt <= now) {
      if (roundAt > 0) turns = TURNS
      roundAt = now + LOOK_AT_ALL_EVERY_MS
      rest = await allQueues(worker)
    }
    for (const name of rest.splice(0, turns)) void look(worker, queueIn(worker, name))
    for (const queue of queues.values()) if (queue.activeUntil > now) void look(worker, queue)
    await pause(clock, LOOK_EVERY_MS, ending.signal)
    forgetIdle(worker, now)
  }
}

export const createPushWorker = (deps: WorkerDeps): AsyncDisposable => {
  const { store, clock } = deps
  const worker: WorkerState = {
    ...deps,
    queues: new Map(),
    busy: new Set(),
    breakers: createBreakers({ clock }, BREAKER),
    ending: new AbortController(),
  }
  const listening = store.onWaiting((name) => {
    const queue = queueIn(worker, name)
    queue.activeUntil = clock.now() + ACTIVE_MS
    void look(worker, queue)
  })
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
