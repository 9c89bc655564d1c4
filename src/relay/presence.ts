import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { dayOf, type RelayStore } from './store.ts'

/** How long clients are collected that are written together. */
const COLLECT_MS = 1_000
/** Connected clients are written again when a new day has begun; this often that is checked. */
const CHECK_EVERY_MS = 3_600_000
const MAX_CALL_CLIENTS = 500
/** Clients of which it is remembered that the store has them as seen today. */
const MAX_KNOWN_CLIENTS = 100_000

/** Renews the leases of connected clients: at most once a day each, never in the way of a request. */
export interface Presence extends Disposable {
  note(clientId: string): void
}

export const createPresence = (
  deps: { store: Pick<RelayStore, 'seen'>; clock: Clock; log: Log },
  connected: () => Iterable<string>,
): Presence => {
  const { store, clock, log } = deps
  /** Day on which a client was noted; the least recently noted first. */
  const known = new Map<string, number>()
  let waiting = new Set<string>()
  let collecting: Disposable | undefined
  let checking: Disposable | undefined
  let isOver = false

  const flush = async (): Promise<void> => {
    collecting = undefined
    const clientIds = [...waiting]
    waiting = new Set()
    for (let at = 0; at < clientIds.length; at += MAX_CALL_CLIENTS) {
      const some = clientIds.slice(at, at + MAX_CALL_CLIENTS)
      try {
        await store.seen(some, clock.now())
      } catch (err) {
        if (isOver) return
        for (const clientId of some) known.delete(clientId)
        log.warn({ err }, 'Leases of subscriptions could not be renewed; trying again later')
      }
    }
  }

  const note = (clientId: string): void => {
    const day = dayOf(clock.now())
    if (known.get(clientId) === day) return
    known.delete(clientId)
    known.set(clientId, day)
    const [oldest] = known.keys()
    if (known.size > MAX_KNOWN_CLIENTS && oldest !== undefined) known.delete(oldest)
    waiting.add(clientId)
    collecting ??= clock.after(COLLECT_MS, () => void flush())
    check()
  }

  const check = (): void => {
    checking ??= clock.after(CHECK_EVERY_MS, () => {
      checking = undefined
      // Goes on as long as a client is connected.
      for (const clientId of connected()) {
        note(clientId)
        check()
      }
    })
  }

  return {
    note,
    [Symbol.dispose]() {
      isOver = true
      collecting?.[Symbol.dispose]()
      checking?.[Symbol.dispose]()
    },
  }
}
