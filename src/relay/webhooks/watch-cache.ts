/** Which clients are watched. Nearly all are not, and acknowledge all the time. */
import { createSparseCache, type SparseCache } from '../../platform/concurrency/sparse-cache.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { RelayStore, Watch } from '../store.ts'

/** Clients that are remembered, up to twice as many. */
const MAX_CACHED = { with: 5_000, without: 50_000 }

export type WatchCache = SparseCache<Watch[]>

type WatchStore = Pick<RelayStore, 'hasWatches' | 'watches' | 'onWatch'>

export const createWatchCache = ({ store, clock }: { store: WatchStore; clock: Clock }): WatchCache =>
  createSparseCache<Watch[]>(
    {
      hasAny: (now) => store.hasWatches(now),
      async read(clientIds, now) {
        const found = new Map<string, Watch[]>()
        for (const watch of await store.watches(clientIds, now)) {
          const watches = found.get(watch.clientId) ?? []
          watches.push(watch)
          found.set(watch.clientId, watches)
        }
        return found
      },
      onChange: (forget) => store.onWatch(forget),
    },
    { clock },
    MAX_CACHED,
  )
