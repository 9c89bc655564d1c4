/** What all rooms stand on, as `compose` has laid it. */
import type { Context } from 'hono'

import type { Budgets } from '../platform/budgets/budgets.ts'
import type { Payer } from '../platform/budgets/payer.ts'
import type { ClientAddress } from '../platform/net/client-address.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { ReleaseStack } from '../platform/runtime/release-stack.ts'
import type { Log } from '../platform/telemetry.ts'
import type { Stores } from '../storage/stores.ts'
import type { Config } from './config/config.ts'
import type { ServerUrls } from './config/urls.ts'
import type { LeaderTask } from './leader-election.ts'
import type { UntilAvailable } from './startup.ts'
import type { Metrics } from './telemetry/metrics.ts'

export interface RoomContext {
  config: Config
  urls: ServerUrls
  stores: Stores
  clock: Clock
  log: Log
  metrics: Metrics
  randomBytes: (length: number) => Uint8Array
  owned: ReleaseStack
  untilAvailable: UntilAvailable
  /** The address block that pays for a request. */
  addressOf: ClientAddress
  /** What is stored of an address block: a keyed hash, 11 characters. */
  payerOf: (address: string) => string
  /** Who pays for a request over HTTP. */
  payerFor: (c: Context) => Payer
  /** Charged by every room before it works for somebody; the owner is what `addressOf` returns. */
  budgets: Budgets
  /** Jobs of one process among all on the store. */
  leaderTask: (name: string) => LeaderTask
}
