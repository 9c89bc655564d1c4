/** When a replica reads from its archive: at the start, after a break, and until it has come to the end. */
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import type { History, ReadArchive } from './archive-reader.ts'
import type { Compaction } from './compaction.ts'
import type { Outbox } from './outbox.ts'
import type { StoreTable } from './store-table.ts'
import { SYNC_TAGS } from './wire.ts'

const RETRY_DELAY_MS = 5_000

export interface CatchUp {
  /** Reads what the archive has by now, in the background; a second call while it reads makes it read once more. */
  want(): void
  /** Resolves when a reading that began after the call has come to its end, or when the replica is closed. */
  done(): Promise<void>
  /** Resolves everything that waits. */
  stop(): void
}

/**
 * The outbox starts when the archive has heard which tags to take in, or cannot be reached: a message that was published
 * before would be missing there if the relay lost it meanwhile. Without a store there is nothing to hear, and to publish.
 */
export const createCatchUp = (deps: {
  history: History | undefined
  outbox: Pick<Outbox, 'start'>
  table: StoreTable
  readArchive: ReadArchive
  compaction: Compaction
  clock: Clock
  log: Log
  signal: AbortSignal
}): CatchUp => {
  const { history, outbox, table, readArchive, compaction, clock, log, signal } = deps
  let isWanted = false
  let isReading = false
  const waiting: (() => void)[] = []

  const readAll = async (archive: History): Promise<void> => {
    isReading = true
    while (isWanted && !signal.aborted) {
      isWanted = false
      const callers = waiting.splice(0)
      try {
        if (table.size > 0) {
          await archive.register([SYNC_TAGS.set, SYNC_TAGS.delete], compaction.stores())
          outbox.start()
        }
        for (const store of table.all()) {
          store.row.messages += await readArchive(store, store.row.cursor)
          if (compaction.isDue(store)) await compaction.run(store)
        }
        for (const resolve of callers) resolve()
      } catch (err) {
        // Publishing does not wait for the archive, which later takes in what the relay still has.
        outbox.start()
        waiting.push(...callers)
        isWanted = true
        if (signal.aborted) break
        log.warn({ err }, 'The archive could not be read; trying again')
        await pause(clock, RETRY_DELAY_MS, signal)
      }
    }
    isReading = false
    if (signal.aborted) for (const resolve of waiting.splice(0)) resolve()
  }

  const want = (): void => {
    if (!history) {
      outbox.start()
      return
    }
    isWanted = true
    if (!isReading) void readAll(history)
  }

  return {
    want,
    done() {
      if (!history) return Promise.resolve()
      const done = new Promise<void>((resolve) => waiting.push(resolve))
      want()
      return done
    },
    stop() {
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}
