/**
 * The way from a fan-out to the outbox worker of its process. The fan-out reserves room, commits with the entries leased to
 * this worker, and hands over what it has in memory: so nothing is taken or read back. What is committed without room
 * waits in the outbox for its turn, as everything else.
 *
 * Order: a batch is sent once all entries have been taken that were added before its room was reserved.
 * Bounds: `MAX_BATCHES` of at most `MAX_BATCH_TARGETS` messages are reserved or under way. `MAX_WAITING` callers wait for
 * room, for at most `MAX_WAIT_MS`.
 */
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Notification, OutboxEntryOf, OutboxLease, Subscription } from '../store/store.ts'

/** What one commit enqueued. */
export interface DirectBatch {
  entries: readonly OutboxEntryOf<'notifications'>[]
  notification: Notification
  /** Those that the entries name. */
  targets: readonly DirectTarget[]
}

/** A subscriber, and the entry of its own that its copy would have. */
export interface DirectTarget {
  subscription: Subscription
  outbox: OutboxEntryOf<'notification'>
}

/** Room for one batch. Its holder calls `send`, or `release` if nothing was committed. */
export interface Reservation {
  /** What the entries are to be leased under. */
  lease: OutboxLease
  send(batch: DirectBatch): void
  release(): void
}

export interface DirectSends {
  /** Undefined: there is no room, many entries wait, or nothing can be sent now. */
  reserve(): Promise<Reservation | undefined>
}

/** The worker's end. */
export interface DirectQueue extends DirectSends {
  /** Begins to give room, until it is disposed of. */
  open(worker: DirectWorker): Disposable
  /** Entries were added to the outbox. */
  added(): void
  /** Whether entries were added since the last take that left none. */
  readonly hasAdditions: boolean
  /** A take of the outbox begins; the result is called with whether it may have left entries. */
  takes(): (more: boolean) => void
  /** The next batch that no older entry waits before. Its room is given back by the worker. */
  next(): DirectBatch | undefined
  /** A batch is over. */
  ended(): void
}

interface DirectWorker {
  /** Whether a message would go out now. */
  canSend(): boolean
  /** Names it among the workers of one outbox. */
  name: string
  leaseMs: number
  /** A batch is ready, or may be. */
  wake(): void
  /** A batch that comes when there is no worker any more. */
  giveBack(batch: DirectBatch): void
}

export const MAX_BATCH_TARGETS = 200
const MAX_BATCHES = 6
const MAX_WAIT_MS = 1_000
const MAX_WAITING = 100

interface QueueState {
  worker: DirectWorker | undefined
  /** Rooms that are reserved, or whose batch is not over. */
  used: number
  waiting: Set<() => void>
  queue: { batch: DirectBatch; after: number }[]
  /** Counts additions to the outbox; up to `drained` all were taken. */
  additions: number
  drained: number
  /** The last take was full: many entries wait. */
  isBehind: boolean
}

const hasRoom = ({ worker, used, isBehind }: QueueState): boolean =>
  worker?.canSend() === true && !isBehind && used < MAX_BATCHES

const giveRoom = (state: QueueState): void => {
  state.used -= 1
  invariant(state.used >= 0, 'No more batches end than began')
  const [next] = state.waiting
  next?.()
}

const reservation = (state: QueueState, { now }: Pick<Clock, 'now'>, worker: DirectWorker): Reservation => {
  state.used += 1
  const after = state.additions
  return {
    lease: { worker: worker.name, until: now() + worker.leaseMs },
    send(batch) {
      if (state.worker === undefined) {
        giveRoom(state)
        worker.giveBack(batch)
        return
      }
      state.queue.push({ batch, after })
      worker.wake()
    },
    release: () => giveRoom(state),
  }
}

/** Resolves when there may be room, or after `MAX_WAIT_MS`. */
const roomOrTimeout = (state: QueueState, clock: Clock): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      timer[Symbol.dispose]()
      state.waiting.delete(done)
      resolve()
    }
    const timer = clock.after(MAX_WAIT_MS, done)
    state.waiting.add(done)
  })

export const createDirectSends = (clock: Clock): DirectQueue => {
  const state: QueueState = {
    worker: undefined,
    used: 0,
    waiting: new Set(),
    queue: [],
    additions: 0,
    drained: 0,
    isBehind: false,
  }

  return {
    async reserve() {
      const mayWait = state.used >= MAX_BATCHES && state.waiting.size < MAX_WAITING
      if (!hasRoom(state) && mayWait) await roomOrTimeout(state, clock)
      return state.worker && hasRoom(state) ? reservation(state, clock, state.worker) : undefined
    },

    open(worker) {
      state.worker = worker
      return {
        [Symbol.dispose]() {
          state.worker = undefined
          for (const { batch } of state.queue.splice(0)) {
            giveRoom(state)
            worker.giveBack(batch)
          }
          for (const one of [...state.waiting]) one()
        },
      }
    },

    added() {
      state.additions += 1
    },
    get hasAdditions() {
      return state.drained < state.additions
    },
    takes() {
      const mark = state.additions
      return (more) => {
        state.isBehind = more
        if (!more) state.drained = Math.max(state.drained, mark)
      }
    },
    next() {
      const [first] = state.queue
      if (!first || first.after > state.drained) return undefined
      state.queue.shift()
      return first.batch
    },
    ended: () => giveRoom(state),
  }
}
