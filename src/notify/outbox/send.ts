/** Publishes a prepared batch, leaves topics after their last answer, and completes or returns the entries. */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { RelayLink } from '../relay/link.ts'
import type { LeasedEntries } from './leased-entries.ts'
import type { PreparedEntry } from './prepare.ts'
import { byResult, publishAll, RELAY_TIMEOUT_MS, within } from './publish-all.ts'

export interface SendDeps {
  relay: Pick<RelayLink, 'publish' | 'unsubscribe'>
  leased: Pick<LeasedEntries, 'complete' | 'returnFailed'>
  /** Counts the relay's failures in a row; the pause follows from it. */
  failures: { reset(): void; add(): void; retryMs(): number }
  clock: Clock
  log: Log
}

/** All publishes have begun, in order, when the promise is returned. */
export const createSend =
  ({ relay, leased, failures, clock, log }: SendDeps) =>
  async (batch: readonly PreparedEntry[]): Promise<void> => {
    const messages = batch.map(({ message }) => message)
    const { published, failed, refused, err } = byResult(batch, await publishAll({ relay, clock }, messages))
    // An answer goes out before its topic is left.
    const leaving = published.flatMap(({ task }) =>
      task.kind === 'leave' ? [task.topic] : task.kind === 'response' && task.leave ? [task.leave] : [],
    )
    if (leaving.length > 0) {
      await within(clock, RELAY_TIMEOUT_MS, (timedOut) =>
        Promise.race([relay.unsubscribe(leaving), timedOut]),
      )
    }
    await leased.complete(published, 'sent')
    if (refused.length > 0) {
      log.error({ err, entries: refused.length }, 'The relay does not take messages; they are dropped')
      await leased.complete(refused, 'refused')
    }
    if (failed.length === 0) {
      failures.reset()
      return
    }
    failures.add()
    log.warn({ err, entries: failed.length }, 'Messages did not reach the relay; trying again later')
    await leased.returnFailed(failed, failures.retryMs())
  }
