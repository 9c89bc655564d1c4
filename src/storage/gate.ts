import { invariant } from '../platform/invariant.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Kv } from './kv.ts'
import type { Transfer } from './transfer/transfer.ts'

/**
 * Lets calls through until it is closed, then waits for those that are inside.
 *
 * LMDB must not be touched once its environment is closing: a read that slips in between throws later, from a timer,
 * where nobody can catch it. Timers and sockets that stop a moment after the store are normal, so the gate refuses
 * their calls with an ordinary error.
 */
export interface Gate {
  /** The same object, each of its methods behind the gate. */
  guard<T extends object>(store: T): T
  /** Refuses calls from now on; the first reason counts. Resolves when no call is inside. */
  close(reason?: string): Promise<void>
}

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value

/** Each step of the iteration passes the gate. */
const guardItems = (
  items: AsyncIterator<unknown>,
  pass: <R>(call: () => Promise<R>) => Promise<R>,
): AsyncIterable<unknown> => ({
  [Symbol.asyncIterator]: () => ({
    next: () => pass(() => items.next()),
    return: () => items.return?.() ?? Promise.resolve({ done: true, value: undefined }),
  }),
})

export const createGate = (): Gate => {
  let inside = 0
  let closed: string | undefined
  let empty: (() => void) | undefined

  const leave = () => {
    inside -= 1
    invariant(inside >= 0, 'no call leaves a gate that it has not entered')
    if (inside === 0) empty?.()
  }
  const pass = async <R>(call: () => Promise<R>): Promise<R> => {
    if (closed !== undefined) throw new ProtocolError('unavailable', closed)
    inside += 1
    try {
      return await call()
    } finally {
      leave()
    }
  }

  /** Rejects both for callers that await it and for those that iterate over it: the kind of result is not known. */
  const refused = (call: () => Promise<unknown>) => {
    const refusal = pass(call)
    refusal.catch(() => {})
    return Object.assign(refusal, { [Symbol.asyncIterator]: () => ({ next: () => refusal }) })
  }

  return {
    guard(store) {
      const guarded: Record<string, unknown> = {}
      for (const [name, method] of Object.entries(store)) {
        guarded[name] = (...args: unknown[]) => {
          // Listeners touch nothing, and a generator does not run before it is asked for its first item.
          if (name.startsWith('on')) return method(...args)
          if (closed !== undefined) return refused(method)
          const result = method(...args)
          if (!isAsyncIterable(result)) return pass(() => result)
          return guardItems(result[Symbol.asyncIterator](), pass)
        }
      }
      // Symbols (disposal) stay as they are.
      return Object.assign(Object.create(store), guarded)
    },
    close(reason = 'the store is closed') {
      closed ??= reason
      return inside === 0 ? Promise.resolve() : new Promise((resolve) => (empty = resolve))
    },
  }
}

/** A transfer, each of its tables behind the gate. */
export const guardTransfer = (gate: Gate, transfer: Transfer): Transfer => {
  const each = <T extends object>(tables: T): T =>
    Object.assign({}, ...Object.entries(tables).map(([name, table]) => ({ [name]: gate.guard(table) })))
  const { note, setNote } = gate.guard({ note: transfer.note, setNote: transfer.setNote })
  return {
    read: each(transfer.read),
    write: each(transfer.write),
    snapshot() {
      const snapshot = transfer.snapshot()
      return { ...each(snapshot), [Symbol.dispose]: () => snapshot[Symbol.dispose]() }
    },
    note,
    setNote,
  }
}

/** The port; what touches no engine stays as it is. */
export const guardKv = (gate: Gate, { publish, listen, inTurn, ...kv }: Kv): Kv => ({
  ...gate.guard(kv),
  inTurn,
  publish,
  listen,
})
