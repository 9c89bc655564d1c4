/** Removes what has expired from a store (relay messages, jobs of all rooms), in bounded pieces so that no caller waits long. */
import { type Clock, pause } from '../platform/runtime/clock.ts'
import { type Log, type Meter, unmeasured } from '../platform/telemetry.ts'
import type { RelayStore } from '../relay/store.ts'
import type { RoomContext } from './context.ts'
import type { LeaderTask } from './leader-election.ts'

const SWEEP_INTERVAL_MS = 60_000
/** Rows that are removed at once. */
const SWEEP_PIECE_SIZE = 1_000
const PIECE_PAUSE_MS = 50

/**
 * Sweeps until it is disposed of. Counts what it removes in `relay_swept_total`; stores other than the relay's are given a
 * meter that measures nothing.
 */
export const createStoreSweeper = (deps: {
  store: Pick<RelayStore, 'sweep'>
  /** One process sweeps for all. */
  leaderTask: LeaderTask
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { store, leaderTask, clock, log, meter } = deps

  const sweep = async (signal: AbortSignal): Promise<void> => {
    for (let swept = SWEEP_PIECE_SIZE; swept === SWEEP_PIECE_SIZE && !signal.aborted; ) {
      swept = await store.sweep(clock.now(), SWEEP_PIECE_SIZE)
      if (swept > 0) meter.count('relay_swept_total', undefined, swept)
      if (swept === SWEEP_PIECE_SIZE) await pause(clock, PIECE_PAUSE_MS, signal)
    }
  }

  return leaderTask(async (signal) => {
    while (!signal.aborted) {
      await sweep(signal).catch((err) =>
        log.error({ err }, 'What has expired could not be removed; trying again later'),
      )
      await pause(clock, SWEEP_INTERVAL_MS, signal)
    }
  })
}

/** Rows over the port that have ended, whichever room wrote them. */
export const sweepRows = ({ stores, clock, log, owned, leaderTask }: RoomContext): void => {
  const task = leaderTask('row sweep')
  owned.use(createStoreSweeper({ store: stores.kv, leaderTask: task, clock, log, meter: unmeasured }))
}

/** The jobs of all rooms lie in one queue, which is swept by the processes that have a notify or a relay room. */
export const sweepJobs = ({ stores, clock, log, owned, leaderTask }: RoomContext): void => {
  const task = leaderTask('agenda sweep')
  owned.use(createStoreSweeper({ store: stores.jobQueue, leaderTask: task, clock, log, meter: unmeasured }))
}
