/** The key registry, put together: registration over HTTP, sweeps, and the look-up of the notify server. */
import type { Hono } from 'hono'
import { keysRoutes } from '../../keys/http.ts'
import { createIdentityLookup } from '../../keys/lookup.ts'
import { createKeyRegistry, type KeyRegistry } from '../../keys/service.ts'
import { createHostGate } from '../../platform/net/host-gate.ts'
import { addressRules } from '../../platform/net/public-address.ts'
import { createPublicFetch } from '../../platform/net/public-fetch.ts'
import { unmeasured } from '../../platform/telemetry.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import type { RoomContext } from '../context.ts'
import { createStoreSweeper } from '../sweeper.ts'

/** Look-ups under way at other key servers. Each holds up a wallet's request: 24 leave most of the 64 handlers free. */
const KEY_SERVER_LOOKUPS = { all: 24, perHost: 12, perOwner: 12, waiting: 4 }

export interface KeysRoom {
  registry: KeyRegistry
  routes: Hono
  /** Begins to remove what has expired. */
  sweep(): void
}

export const buildKeys = (
  { stores, urls, clock, log, payerFor, owned, leaderTask }: RoomContext,
  verifySignature: ContractWalletCheck | undefined,
): KeysRoom => {
  const registry = createKeyRegistry(
    { store: stores.keys, clock, log, ...(verifySignature && { verifySignature }) },
    urls.knownOrigins ? { isOwnUrl: urls.isOwnUrl } : {},
  )
  return {
    registry,
    routes: keysRoutes({ registry, log, payerFor }),
    sweep() {
      const task = leaderTask('keys sweep')
      owned.use(createStoreSweeper({ store: stores.keys, leaderTask: task, clock, log, meter: unmeasured }))
    },
  }
}

/** `registry`: undefined where another process has it. */
export const buildIdentityLookup = (
  { config, urls, clock, log }: RoomContext,
  registry: KeyRegistry | undefined,
): ReturnType<typeof createIdentityLookup> => {
  const rules = addressRules(config.allowPrivateAddresses.keys)
  const gate = createHostGate({ clock }, KEY_SERVER_LOOKUPS)
  const fetch = createPublicFetch({ rules, refusal: 'key_server_refused', gate })
  return createIdentityLookup(
    { ...(registry && { registry }), fetch, clock, log },
    { isOwnUrl: urls.isOwnUrl, allowed: config.keyServers },
  )
}
