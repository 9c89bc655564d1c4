/** What all rooms are given: configuration, store, time, and who pays. */
import type { Context } from 'hono'
import type { Budgets } from '../platform/budgets/budgets.ts'
import type { Payer } from '../platform/budgets/payer.ts'
import type { ClientAddress } from '../platform/net/client-address.ts'
import type { ReleaseStack } from '../platform/runtime/release-stack.ts'
import { toHex } from '../protocol/bytes.ts'
import type { Stores } from '../storage/stores.ts'
import type { Config } from './config/config.ts'
import { lacksPublicUrl, type ServerUrls, serverUrls } from './config/urls.ts'
import type { Blocks } from './console/blocks.ts'
import { createLeaderElection, type LeaderTask } from './leader-election.ts'
import { createPayerFor } from './payer.ts'
import type { Runtime } from './runtime.ts'
import { createUntilAvailable, type UntilAvailable } from './start-without-store.ts'

export interface RoomContext extends Runtime {
  config: Config
  urls: ServerUrls
  stores: Stores
  /** Released in the reverse order, at a stop and when the start fails. */
  owned: ReleaseStack
  untilAvailable: UntilAvailable
  /** The address block that pays for a request. */
  addressOf: ClientAddress
  /** What is stored of an address block: a keyed hash, 11 characters. */
  payerOf: (address: string) => string
  /** Who pays for a request over HTTP. */
  payerFor: (c: Context) => Payer
  /** Charged by every room before it works; the owner is what `addressOf` returns. */
  budgets: Budgets
  /** Whom the operator keeps out. */
  blocks: Blocks
  /** A task that one process does for all on the store. Each name is used once in a process. */
  leaderTask: (name: string) => LeaderTask
}

export const createContext = (
  given: Runtime &
    Pick<RoomContext, 'config' | 'stores' | 'owned' | 'addressOf' | 'budgets' | 'payerOf' | 'blocks'>,
  { port, signal }: { port: number; signal: AbortSignal | undefined },
): RoomContext => {
  const { config, stores, clock, log, randomBytes, addressOf, budgets } = given
  if (lacksPublicUrl(config)) {
    log.warn(
      {},
      'BELFRY_PUBLIC_URL is not set, so tokens that were made out to other servers are accepted: set it to how clients reach this one',
    )
  }
  const isEmbedded = config.redisUrl === undefined
  return {
    ...given,
    urls: serverUrls(config, port),
    untilAvailable: createUntilAvailable({ stores, clock, log, signal }, { isEmbedded }),
    leaderTask: createLeaderElection({ leases: stores.leases, clock, log }, toHex(randomBytes(8))),
    payerFor: createPayerFor(addressOf, budgets),
  }
}
