/**
 * A spike: the hot verbs of the notify server's store, written once over the port. A verb reads and writes few rows, and many
 * things of one kind lie in one row: copies of a subscription (`./heads.ts`), receipts of a call (`./chunks.ts`).
 */
import type { Kv } from '../../../storage/kv.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { NotifyStore } from '../store.ts'
import { createAccounts } from './accounts.ts'
import { receiptsIn } from './chunks.ts'
import { createDeliver } from './deliver.ts'
import { createNames, createRecent, type VerbDeps } from './deps.ts'
import { createEnqueue } from './enqueue.ts'
import { createHistory, type HistoryVerbs } from './history.ts'
import { createOutbox } from './outbox.ts'
import { CHUNK_NAME_BYTES, unreadOf } from './heads.ts'

const TAKEN_ENTRIES = 50_000
const KEPT_NOTIFICATIONS = 200
const RECENT_ACCOUNTS = 3_000

export type Verbs = HistoryVerbs &
  Pick<
    NotifyStore,
    'account' | 'commit' | 'putNotification' | 'enqueue' | 'takeOutbox' | 'completeOutbox' | 'markDelivered'
  >

export const createVerbs = (kv: Kv, clock: Pick<Clock, 'now'>): Verbs => {
  let place = 0
  const deps: VerbDeps = {
    kv,
    clock,
    nextPlace: () => {
      place = Math.max(place + 1, clock.now() * 1_000)
      return place
    },
    newChunkName: createNames(CHUNK_NAME_BYTES),
    taken: createRecent(TAKEN_ENTRIES),
    kept: createRecent(KEPT_NOTIFICATIONS),
    accounts: createRecent(RECENT_ACCOUNTS),
    ring: () => kv.publish('notify-outbox', ['']),
  }
  return {
    ...createAccounts(deps),
    ...createEnqueue(deps),
    ...createOutbox(deps),
    ...createDeliver(deps),
    ...createHistory(deps),
  }
}

/** For looking at what is kept. */
export { receiptsIn, unreadOf }
