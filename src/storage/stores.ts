import type { ArchiveStore } from '../archive/store.ts'
import type { ContactsStore } from '../contacts/store.ts'
import type { KeysStore } from '../keys/store.ts'
import type { MqStore } from '../mq/store.ts'
import type { NotifyStore } from '../notify/store/store.ts'
import type { Buckets } from '../platform/budgets/token-buckets.ts'
import type { StoreSpace } from '../platform/budgets/watermark.ts'
import type { JobQueue } from '../platform/jobs/job-queue.ts'
import type { PushStore } from '../push/store.ts'
import type { RelayStore } from '../relay/store.ts'
import type { RelayAdmin } from '../relay/store-admin.ts'
import type { ConsoleStore } from '../server/console/store.ts'
import type { OperatorStore } from '../sessions/operator/store.ts'
import type { SessionsStore } from '../sessions/relay/store.ts'
import type { Kv } from './kv.ts'
import type { Leases } from './leases.ts'
import type { SessionsAdapter } from './redis/rooms/sessions-adapter.ts'
import type { Transfer } from './transfer/transfer.ts'

export interface RedisHealth {
  version: string
  usedBytes: number
  /** Null: as much as the machine has. */
  maxBytes: number | null
  policy: string
  isAppendOnly: boolean
  lastAppend: string
  lastSave: string
  clients: number
}
export type StoreHealth =
  | { engine: 'embedded'; fileBytes: number; reusableBytes: number }
  | { engine: 'redis'; nodes: RedisHealth[] }

/** What every engine opens: the stores of all rooms, and the leases that processes divide their jobs by. */
export interface Stores extends AsyncDisposable {
  /** The port that the rooms' stores are written over. */
  kv: Kv
  relay: RelayStore
  /** One topic, for its operator. */
  relayAdmin: RelayAdmin
  keys: KeysStore
  notify: NotifyStore
  contacts: ContactsStore
  mq: MqStore
  operator: OperatorStore
  archive: ArchiveStore
  sessions: SessionsStore
  push: PushStore
  /** Sessions of operators, passkeys, what they did, whom they blocked. */
  console: ConsoleStore
  /** Work for later, of all rooms. */
  jobQueue: JobQueue
  /** Everything of them, for migrations and backups. */
  transfer: Transfer
  leases: Leases
  /** How Socket.IO's connections of one process are reached from another; absent where there is only one. */
  sessionsAdapter?: () => Promise<SessionsAdapter>
  /** Limits that all processes on the store share. */
  buckets: Buckets
  /** How full the engine is, and whether it takes writes. */
  space: StoreSpace
  /** For operators to look at. */
  health(): Promise<StoreHealth>
  /** Resolves, with a sentence for the operator, when this process can never use the store again. */
  readonly lost: Promise<string>
  /** Resolves when the engine answers; rejects otherwise. */
  ping(): Promise<void>
  /** Gives a store its format number. Rejects with `StoreRefused` when it has another one. */
  claimFormat(): Promise<void>
}
