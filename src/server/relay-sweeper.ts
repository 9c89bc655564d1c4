/** Removes expired messages from the relay's store, a bounded piece at a time so that nobody waits for it. */
import { type Clock, pause } from '../platform/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import type { RelayStore } from '../relay/store.ts'

const EVERY = 60_000
const PIECE = 1_000
const BETWEEN_PIECES = 50

export const createRelaySweeper = (deps: {
  store: Pick<RelayStore, 'sweep'>
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { store, clock, log, meter } = deps
  const ending = new AbortController()
  const run = async () => {
    for (;;) {
      await pause(clock, EVERY, ending.signal)
      let swept = PIECE
      while (swept === PIECE && !ending.signal.aborted) {
        try {
          swept = await store.sweep(clock.now(), PIECE)
          if (swept > 0) meter.count('relay_swept_total', undefined, swept)
        } catch (err) {
          swept = 0
          log.error({ err }, 'Expired messages could not be removed; trying again later')
        }
        if (swept === PIECE) await pause(clock, BETWEEN_PIECES, ending.signal)
      }
      if (ending.signal.aborted) return
    }
  }
  const running = run()
  return {
    async [Symbol.asyncDispose]() {
      ending.abort()
      await running
    },
  }
}
