/** Publishes a prepared batch, leaves topics after their last answer, and completes or returns the entries. */
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { RelayLink } from '../relay/link.ts'
import type { LeasedEntries } from './leased-entries.ts'
import type { PreparedEntry } from './prepare.ts'

/** How long one step waits for the relay. */
export const RELAY_TIMEOUT_MS = 10_000

/** Calls `work` with a promise that rejects after `ms`; `work` races what it waits for against that promise. */
export const within = async <T>(
  clock: Clock,
  ms: number,
  work: (timedOut: Promise<never>) => Promise<T>,
): Promise<T> => {
  let timer: Disposable | undefined
  const timedOut = new Promise<never>((_, reject) => {
    timer = clock.after(ms, () => reject(new Error('the relay did not answer in time')))
  })
  // It may reject when nothing waits for it any more.
  timedOut.catch(() => {})
  try {
    return await work(timedOut)
  } finally {
    timer?.[Symbol.dispose]()
  }
}

/** The relay would refuse the same message again. */
const isFinal = (err: unknown): boolean =>
  err instanceof ProtocolError && ['bad_params', 'bad_request', 'too_large'].includes(err.code)

interface SendResult {
  published: PreparedEntry[]
  failed: PreparedEntry[]
  refused: PreparedEntry[]
  /** Of one of those that did not reach the relay. */
  err: unknown
}

const sorted = (
  batch: readonly PreparedEntry[],
  results: readonly PromiseSettledResult<unknown>[],
): SendResult => {
  invariant(results.length === batch.length, 'Each entry of a batch has one result')
  const all: SendResult = { published: [], failed: [], refused: [], err: undefined }
  for (const [at, entry] of batch.entries()) {
    const result = results[at]
    if (result?.status === 'rejected') {
      all.err = result.reason
      if (isFinal(result.reason)) all.refused.push(entry)
      else all.failed.push(entry)
    } else if (result) all.published.push(entry)
  }
  return all
}

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
    const results = await within(clock, RELAY_TIMEOUT_MS, (timedOut) =>
      Promise.allSettled(
        batch.map(({ message }) => (message ? Promise.race([relay.publish(message), timedOut]) : undefined)),
      ),
    )
    const { published, failed, refused, err } = sorted(batch, results)
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
