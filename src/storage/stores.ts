import type { KeysStore } from '../keys/store.ts'
import type { NotifyStore } from '../notify/store.ts'
import type { Agenda } from '../platform/agenda.ts'
import type { Buckets } from '../platform/buckets.ts'
import type { RelayStore } from '../relay/store.ts'

/** What every engine opens: the stores of all rooms. */
export interface Stores extends AsyncDisposable {
  relay: RelayStore
  keys: KeysStore
  notify: NotifyStore
  /** Work for later, of all rooms. */
  agenda: Agenda
  /** Limits that all processes share; absent where there is only one. */
  buckets?: Buckets
  /** Resolves when the engine answers; rejects otherwise. */
  ping(): Promise<void>
}
