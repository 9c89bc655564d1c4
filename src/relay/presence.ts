import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import type { RelayStore } from './store.ts'

const DAY_MS = 86_400_000
/** How long clients gather that the store is told of together. */
const GATHER_MS = 1_000
/** Of those that are connected the store is told again when a new day has begun; it is looked at this often. */
const LOOK_EVERY_MS = 3_600_000
const CALL_CLIENTS = 500
/** Clients of which it is remembered that the store knows them as seen today. */
const MAX_KNOWN = 100_000

/** Renews the leases of clients that are here: at most once a day each, never in the way of a request. */
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
  let gathering: Disposable | undefined
  let looking: Disposable | undefined
  let isOver = false

  const flush = async (): Promise<void> => {
    gathering = undefined
    const clientIds = [...waiting]
    waiting = new Set()
    for (let at = 0; at < clientIds.length; at += CALL_CLIENTS) {
      const some = clientIds.slice(at, at + CALL_CLIENTS)
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
    const day = Math.floor(clock.now() / DAY_MS)
    if (known.get(clientId) === day) return
    known.delete(clientId)
    known.set(clientId, day)
    const [oldest] = known.keys()
    if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest)
    waiting.add(clientId)
    gathering ??= clock.after(GATHER_MS, () => void flush())
    look()
  }

  const look = (): void => {
    looking ??= clock.after(LOOK_EVERY_MS, () => {
      looking = undefined
      // As long as anybody is here there is something to look at.
      for (const clientId of connected()) {
        note(clientId)
        look()
      }
    })
  }

  return {
    note,
    [Symbol.dispose]() {
      isOver = true
      gathering?.[Symbol.dispose]()
      looking?.[Symbol.dispose]()
    },
  }
}
