/** A replica with a relay and an archive: what an application opens. Node and browsers. */
import '../platform/runtime/dispose-symbols.ts'
import { crypto } from '#crypto'
import { createArchiveClient } from '../archive/client.ts'
import type { FetchDeps } from '../platform/net/fetch-json.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { fromHex, toHex } from '../protocol/bytes.ts'
import { signingKeyFrom } from '../protocol/keys.ts'
import { createRelayClient } from '../relay/client/index.ts'
import { storeKeys } from './keys.ts'
import { createReplica, type Replica } from './replica.ts'
import type { KeyValues } from './storage.ts'

export interface SyncOptions {
  relayUrl: string
  /** Without it, what the relay does not have any more is not found. */
  archiveUrl?: string
  projectId?: string
  /** What this device keeps; as secret as a private key. */
  storage: KeyValues
  /** Messages in the archive above which a store may be written anew. Default 2,000. */
  compactAbove?: number
}

export interface SyncDeps extends FetchDeps {
  log: Log
  meter: Meter
  randomBytes?: (length: number) => Uint8Array
}

export interface Sync
  extends AsyncDisposable,
    Omit<Replica, 'received' | 'connected' | typeof Symbol.dispose> {
  readonly connected: boolean
  /** Resolves when there is a connection to the relay. */
  ready(): Promise<void>
}

/** In the storage: the seed of the relay client id, to which the relay ties the mailbox of this device. */
const CLIENT_SEED_NAME = 'client'

const seedIn = async (
  storage: KeyValues,
  randomBytes: (length: number) => Uint8Array,
): Promise<Uint8Array> => {
  const stored = new Map(await storage.load()).get(CLIENT_SEED_NAME)
  if (stored !== undefined) return fromHex(stored)
  const seed = randomBytes(32)
  await storage.write(new Map([[CLIENT_SEED_NAME, toHex(seed)]]))
  return seed
}

export const openSync = async (deps: SyncDeps, options: SyncOptions): Promise<Sync> => {
  const { clock, log, meter, randomBytes = crypto.randomBytes } = deps
  const { relayUrl, archiveUrl, storage, projectId, compactAbove } = options
  const key = signingKeyFrom(await seedIn(storage, randomBytes))
  let replica: Replica | undefined
  const relay = createRelayClient(
    { clock, log, meter, randomBytes },
    {
      url: relayUrl,
      key,
      ...(projectId !== undefined && { projectId }),
      onMessage: async (message) => {
        // The failure leaves the message unacknowledged, so the relay delivers it again.
        if (!replica) throw new Error('A message came before the replica was there')
        await replica.received(message)
      },
    },
  )
  const history =
    archiveUrl === undefined ? undefined : createArchiveClient(deps, { url: archiveUrl, relayUrl, key })
  try {
    replica = await createReplica(
      { storage, transport: relay, keysOf: storeKeys, ...(history && { history }), clock, log, randomBytes },
      compactAbove === undefined ? {} : { compactAbove },
    )
  } catch (error) {
    await relay[Symbol.asyncDispose]()
    throw error
  }
  const opened = replica
  const connectionListener = relay.onConnectionChange((isConnected) => isConnected && opened.connected())
  return {
    ...opened,
    get connected() {
      return relay.connected
    },
    ready: relay.ready,
    async [Symbol.asyncDispose]() {
      connectionListener[Symbol.dispose]()
      opened[Symbol.dispose]()
      await relay[Symbol.asyncDispose]()
    },
  }
}
