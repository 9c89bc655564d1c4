/**
 * One JSON-RPC call for many things, where the relay knows the batch method, and one each where it does not.
 *
 * A relay refuses a batch as a whole. So a batch that is refused for what it holds is taken apart: the thing that is at
 * fault is refused alone, and the others are not.
 */
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Connection, Outcome } from './connection.ts'

const FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['bad_request', 'bad_params', 'too_large'])

export interface Batched<T> {
  batch: { method: string; params: (items: readonly T[]) => unknown }
  single: { method: string; params: (item: T) => unknown }
}

/** `complete` is called once for each item, then `done`. */
export type Caller<T> = (
  items: readonly T[],
  complete: (item: T, outcome: Outcome) => void,
  done: () => void,
) => void

export const createCaller = <T>(request: Connection['request'], { batch, single }: Batched<T>): Caller<T> => {
  let knowsBatch = true

  return (items, complete, done) => {
    const completeAll = (outcome: Outcome) => {
      for (const item of items) complete(item, outcome)
      done()
    }
    const callEach = () => {
      let remaining = items.length
      for (const item of items) {
        request(single.method, single.params(item), (outcome) => {
          complete(item, outcome)
          remaining--
          if (remaining === 0) done()
        })
      }
    }
    const [only] = items
    if (items.length === 1 && only !== undefined) {
      request(single.method, single.params(only), completeAll)
    } else if (!knowsBatch) {
      callEach()
    } else {
      request(batch.method, batch.params(items), (outcome) => {
        if (outcome.kind !== 'refused') return completeAll(outcome)
        if (outcome.unknownMethod) knowsBatch = false
        // Five hundred more calls would not help a relay that has trouble.
        if (outcome.unknownMethod || FAULTS.has(outcome.error.code)) callEach()
        else completeAll(outcome)
      })
    }
  }
}
