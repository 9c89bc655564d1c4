/** What this process knows of clients: who has devices, and where they are connected. */
import { createSparseCache, type SparseCache } from '../../platform/concurrency/sparse-cache.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { ConnectedClient, PlacedDevice, PushStore } from '../store.ts'

/** Clients that are remembered, up to twice as many: one with devices has up to 20 KB. */
const MAX_CACHED = { with: 5_000, without: 50_000 }

export interface KnownClient {
  devices: PlacedDevice[]
  connections: ConnectedClient[]
}

export interface KnownClients extends SparseCache<KnownClient> {
  /** Calls the listener when the devices of a client may have changed. */
  onChange(listener: (clientId: string) => void): void
}

type KnownStore = Pick<PushStore, 'hasDevices' | 'devices' | 'connections' | 'onDevices'>

const readClients = async (
  store: KnownStore,
  clientIds: readonly string[],
  now: number,
): Promise<Map<string, KnownClient>> => {
  const found = new Map<string, KnownClient>()
  for (const device of await store.devices(clientIds, now)) {
    const client = found.get(device.clientId) ?? { devices: [], connections: [] }
    client.devices.push(device)
    found.set(device.clientId, client)
  }
  for (const one of await store.connections([...found.keys()])) found.get(one.clientId)?.connections.push(one)
  return found
}

export const createKnownClients = ({ store, clock }: { store: KnownStore; clock: Clock }): KnownClients => {
  const listeners = new Set<(clientId: string) => void>()
  const cache = createSparseCache<KnownClient>(
    {
      hasAny: (now) => store.hasDevices(now),
      read: (clientIds, now) => readClients(store, clientIds, now),
      onChange: (forget) =>
        store.onDevices((clientId) => {
          forget(clientId)
          for (const listener of listeners) listener(clientId)
        }),
    },
    { clock },
    MAX_CACHED,
  )
  return { ...cache, onChange: (listener) => void listeners.add(listener) }
}
