/** Publishes messages in their order, and says what became of each. */
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { RelayLink } from '../relay/link.ts'
import type { OutgoingMessage } from './wire.ts'

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

/** `err`: why it was not published. */
export interface PublishResult {
  isPublished: boolean
  err?: unknown
}

const PUBLISHED: PublishResult = { isPublished: true }

/**
 * All publishes have begun, in order, when the promise is returned. It never rejects: what the relay does not answer
 * within `RELAY_TIMEOUT_MS` has failed. An entry without a message counts as published.
 */
export const publishAll = async (
  { relay, clock }: { relay: Pick<RelayLink, 'publish'>; clock: Clock },
  messages: readonly (OutgoingMessage | undefined)[],
): Promise<PublishResult[]> => {
  const results = messages.map((): PublishResult | undefined => undefined)
  const all = Promise.all(
    messages.map(async (message, at) => {
      try {
        if (message) await relay.publish(message)
        results[at] = PUBLISHED
      } catch (err) {
        results[at] = { isPublished: false, err }
      }
    }),
  )
  try {
    await within(clock, RELAY_TIMEOUT_MS, (timedOut) => Promise.race([all, timedOut]))
  } catch (err) {
    return results.map((result) => result ?? { isPublished: false, err })
  }
  return results.map((result) => result ?? PUBLISHED)
}

/** The relay would refuse the same message again. */
const isFinal = (err: unknown): boolean =>
  err instanceof ProtocolError && ['bad_params', 'bad_request', 'too_large'].includes(err.code)

/** What was published, by what became of it. */
export interface Published<T> {
  published: T[]
  failed: T[]
  refused: T[]
  /** Of one of those that did not reach the relay. */
  err: unknown
}

export const byResult = <T>(all: readonly T[], results: readonly PublishResult[]): Published<T> => {
  invariant(results.length === all.length, 'Each message has one result')
  const sorted: Published<T> = { published: [], failed: [], refused: [], err: undefined }
  for (const [at, one] of all.entries()) {
    const { isPublished, err } = results[at] ?? {}
    if (isPublished) sorted.published.push(one)
    else if (isFinal(err)) sorted.refused.push(one)
    else sorted.failed.push(one)
    sorted.err = err ?? sorted.err
  }
  return sorted
}
