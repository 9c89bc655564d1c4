/**
 * Stores that all devices of an account share: `belfry/sync`. Node and browsers.
 *
 *     const sync = await openSync({ url: 'https://belfry.example.com', storage: await openIndexedDbStorage() })
 *     if (!(await sync.isRegistered({ account })))
 *       await sync.register({ account, signature: await personalSign(await sync.getMessage({ account })) })
 *     await sync.create({ account, store: 'settings' })
 *     sync.on('sync_update', ({ store, update }) => show(store, update))
 *     await sync.set({ account, store: 'settings', key: 'theme', value: 'dark' })
 *
 * For Node there is a storage in a file: `belfry/sync/file`.
 */
import '../platform/runtime/dispose-symbols.ts'
import { systemClock } from '../platform/runtime/clock.ts'
import { silent, unmeasured } from '../platform/telemetry.ts'
import { openSync as openSyncWith, type Sync, type SyncDeps, type SyncOptions } from '../sync/client.ts'

export { CHAT_STORES } from '../sync/chat.ts'
export type { Sync } from '../sync/client.ts'
export { openIndexedDbStorage } from '../sync/indexed-db.ts'
export { NOTIFY_SUBSCRIPTIONS } from '../sync/notify.ts'
export type { SyncUpdate } from '../sync/replica.ts'
export { type KeyValues, memoryStorage } from '../sync/storage.ts'
export { openTypedStore, type StoreDefinition, type TypedStore } from '../sync/stores.ts'

/** What does not live under `url` is named by itself. */
export type OpenSyncOptions = Omit<SyncOptions, 'relayUrl' | 'archiveUrl'> &
  (
    | { url: string; relayUrl?: string; archiveUrl?: string }
    | { url?: undefined; relayUrl: string; archiveUrl?: string }
  )

/**
 * Opens the stores that all devices of an account share.
 *
 * @param options where relay and archive are, and the storage of this device
 * @param deps clock, log, meter, `fetch` and randomness; for tests, and to see the log
 * @returns the stores; what the storage has is there at once
 * @throws `TypeError` without `url` and `relayUrl`
 * @example
 * await using sync = await openSync({ url: 'https://belfry.example.com', storage: await openIndexedDbStorage() })
 * await sync.create({ account, store: 'settings' })
 * await sync.set({ account, store: 'settings', key: 'theme', value: 'dark' })
 */
export const openSync = (options: OpenSyncOptions, deps: Partial<SyncDeps> = {}): Promise<Sync> => {
  const { url, relayUrl = url, archiveUrl = url, ...rest } = options
  if (relayUrl === undefined) throw new TypeError('It needs a url, or a relayUrl')
  const { clock = systemClock, log = silent, meter = unmeasured } = deps
  const fetch = deps.fetch ?? globalThis.fetch.bind(globalThis)
  return openSyncWith(
    { ...deps, clock, log, meter, fetch },
    { ...rest, relayUrl, ...(archiveUrl !== undefined && { archiveUrl }) },
  )
}
