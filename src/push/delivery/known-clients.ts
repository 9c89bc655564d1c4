/**
 * What this process knows of clients: who has devices, and where they are connected. It is read from the store, relied upon for
 * ten seconds, and forgotten when word of a change comes. While no client at all has a device, a message costs no look.
 */
import { createBoundedMap } from '../../platform/concurrency/bounded-map.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { ConnectedClient, PlacedDevice, PushStore } from '../store.ts'

const CACHE_TTL_MS = 10_000
/** Clients that are remembered, up to twice as many: one with devices has up to 20 KB. */
const MAX_CACHED = { with: 5_000, without: 50_000 }

export interface KnownClient {
  devices: PlacedDevice[]
  connections: ConnectedClient[]
}

export interface KnownClients extends Disposable {
  /** True when it is known that no client has a device. */
  isEmpty(): boolean
  /** True when it is known that this one has none. */
  isWithout(clientId: string, now: number): boolean
  /** Those of the clients that have devices. */
  among(clientIds: Iterable<string>): Promise<Map<string, KnownClient>>
  /** Calls the listener when the devices of a client may have changed. */
  onChange(listener: (clientId: string) => void): void
}

/** Whether any client has a device. */
const createAny = (store: Pick<PushStore, 'hasDevices'>, clock: Clock) => {
  const unknown = { has: true, goodUntil: 0 }
  let known = unknown
  /** Grows with every change, so that what was read before it is not relied upon. */
  let revision = 0
  return {
    isKnownEmpty: () => !known.has && clock.now() < known.goodUntil,
    async has(): Promise<boolean> {
      const now = clock.now()
      if (now < known.goodUntil) return known.has
      const readAt = revision
      const has = await store.hasDevices(now)
      if (revision === readAt) known = { has, goodUntil: now + CACHE_TTL_MS }
      return has
    },
    forget(): void {
      revision++
      known = unknown
    },
  }
}

export const createKnownClients = ({
  store,
  clock,
}: {
  store: Pick<PushStore, 'hasDevices' | 'devices' | 'connections' | 'onDevices'>
  clock: Clock
}): KnownClients => {
  const any = createAny(store, clock)
  const cached = createBoundedMap<KnownClient & { goodUntil: number }>(MAX_CACHED.with)
  /** Until when it is known that a client has none. */
  const without = createBoundedMap<number>(MAX_CACHED.without)
  const listeners = new Set<(clientId: string) => void>()
  /** Grows with every change, so that what was read before it is not cached. */
  let revision = 0

  const listening = store.onDevices((clientId) => {
    revision++
    any.forget()
    cached.remove(clientId)
    without.remove(clientId)
    for (const listener of listeners) listener(clientId)
  })

  const read = async (clientIds: readonly string[], now: number): Promise<Map<string, KnownClient>> => {
    const readAt = revision
    const found = new Map<string, KnownClient>(
      clientIds.map((clientId) => [clientId, { devices: [], connections: [] }]),
    )
    for (const device of await store.devices(clientIds, now)) found.get(device.clientId)?.devices.push(device)
    const withDevices = clientIds.filter((clientId) => (found.get(clientId)?.devices.length ?? 0) > 0)
    for (const one of await store.connections(withDevices)) found.get(one.clientId)?.connections.push(one)
    if (revision === readAt) {
      const goodUntil = now + CACHE_TTL_MS
      for (const [clientId, known] of found)
        if (known.devices.length > 0) cached.put(clientId, { ...known, goodUntil })
        else without.put(clientId, goodUntil)
    }
    return found
  }

  return {
    isEmpty: any.isKnownEmpty,
    isWithout: (clientId, now) => (without.get(clientId) ?? 0) > now,
    async among(clientIds) {
      const found = new Map<string, KnownClient>()
      if (!(await any.has())) return found
      const now = clock.now()
      const unknown: string[] = []
      for (const clientId of new Set(clientIds)) {
        const known = cached.get(clientId)
        if (known && known.goodUntil > now) found.set(clientId, known)
        else if ((without.get(clientId) ?? 0) <= now) unknown.push(clientId)
      }
      if (unknown.length === 0) return found
      for (const [clientId, known] of await read(unknown, now))
        if (known.devices.length > 0) found.set(clientId, known)
      return found
    },
    onChange: (listener) => void listeners.add(listener),
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}
