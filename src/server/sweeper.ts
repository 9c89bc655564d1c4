/** Removes what has expired from a store (the relay's messages, jobs of all rooms), a bounded piece at a time so that nobody waits for it. */
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import type { RelayStore } from '../relay/store.ts'
import type { LeaderTask } from './leader-election.ts'

const EVERY = 60_000
const PIECE = 1_000
const BETWEEN_PIECES = 50

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
    for (let swept = PIECE; swept === PIECE && !signal.aborted; ) {
      swept = await store.sweep(clock.now(), PIECE)
      if (swept > 0) meter.count('relay_swept_total', undefined, swept)
      if (swept === PIECE) await pause(clock, BETWEEN_PIECES, signal)
    }
  }

  return leaderTask(async (signal) => {
    while (!signal.aborted) {
      await sweep(signal).catch((err) =>
        log.error({ err }, 'What has expired could not be removed; trying again later'),
      )
      await pause(clock, EVERY, signal)
    }
  })
}
