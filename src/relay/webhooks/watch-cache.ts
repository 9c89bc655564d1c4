import type { Clock } from '../../platform/runtime/clock.ts'
import type { RelayStore, Watch } from '../store.ts'

/** How long a cached answer is good, should the wake-up about a change be lost. */
const CACHE_TTL_MS = 10_000
const MAX_CACHED_CLIENTS = 50_000

/** Which clients are watched, so that a message costs no look into the store while none is. */
export interface WatchCache extends Disposable {
  /** Whether any client has a watch. */
  hasAny(): Promise<boolean>
  /** True when it is known that no client has a watch. */
  isEmpty(): boolean
  /** True when it is known that this client has none. Nearly all clients have none, and acknowledge all the time. */
  isUnwatched(clientId: string, now: number): boolean
  /** The watches of those clients that have any. */
  watchesOf(clientIds: Iterable<string>): Promise<Map<string, Watch[]>>
}

interface CachedClient {
  watches: Watch[]
  goodUntil: number
}

export const createWatchCache = ({
  store,
  clock,
}: {
  store: Pick<RelayStore, 'hasWatches' | 'watches' | 'onWatch'>
  clock: Clock
}): WatchCache => {
  let any = { hasAny: true, goodUntil: 0 }
  const byClient = new Map<string, CachedClient>()
  /** Grows with every change, so that what was read before it is not cached. */
  let revision = 0

  const listening = store.onWatch((clientId) => {
    revision++
    any = { hasAny: true, goodUntil: 0 }
    byClient.delete(clientId)
  })

  const read = async (clientIds: readonly string[], now: number): Promise<Map<string, Watch[]>> => {
    const readAt = revision
    const found = new Map<string, Watch[]>(clientIds.map((clientId) => [clientId, []]))
    for (const watch of await store.watches(clientIds, now)) found.get(watch.clientId)?.push(watch)
    if (revision === readAt) {
      for (const [clientId, watches] of found) {
        byClient.set(clientId, { watches, goodUntil: now + CACHE_TTL_MS })
      }
    }
    dropOldest(byClient)
    return found
  }

  return {
    async hasAny() {
      const now = clock.now()
      if (now < any.goodUntil) return any.hasAny
      const readAt = revision
      const hasAny = await store.hasWatches(now)
      if (revision === readAt) any = { hasAny, goodUntil: now + CACHE_TTL_MS }
      return hasAny
    },

    isEmpty: () => !any.hasAny && clock.now() < any.goodUntil,

    isUnwatched(clientId, now) {
      const cached = byClient.get(clientId)
      return cached !== undefined && cached.goodUntil > now && cached.watches.length === 0
    },

    async watchesOf(clientIds) {
      const now = clock.now()
      const found = new Map<string, Watch[]>()
      const unknown: string[] = []
      for (const clientId of new Set(clientIds)) {
        const cached = byClient.get(clientId)
        if (!cached || cached.goodUntil <= now) unknown.push(clientId)
        else if (cached.watches.length > 0) found.set(clientId, cached.watches)
      }
      if (unknown.length === 0) return found
      for (const [clientId, watches] of await read(unknown, now)) {
        if (watches.length > 0) found.set(clientId, watches)
      }
      return found
    },

    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}

/** The clients that were read first are over first. */
const dropOldest = (byClient: Map<string, CachedClient>): void => {
  for (const clientId of byClient.keys()) {
    if (byClient.size <= MAX_CACHED_CLIENTS) break
    byClient.delete(clientId)
  }
}
