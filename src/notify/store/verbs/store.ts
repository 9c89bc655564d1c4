/**
 * The notify server's accounts, notifications and outbox, written once over the port. A verb reads and writes few rows, and many
 * things of one kind lie in one row: copies of a subscription (`../packed/heads.ts`), receipts of a call (`../packed/chunks.ts`).
 */
import { createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Kv } from '../../../storage/kv.ts'
import { createComplete } from '../outbox/complete.ts'
import { createOutbox, OUTBOX_CHANNEL } from '../outbox/leases.ts'
import { createForget } from '../removal/forget.ts'
import { createSweep } from '../removal/sweep.ts'
import { createAccounts } from './accounts.ts'
import { createCancel } from './cancel.ts'
import { createDeliver } from './deliver.ts'
import { createChunkNames, type VerbDeps } from './deps.ts'
import { createEnqueue } from './enqueue.ts'
import { createHistory } from './history.ts'
import { createLists } from './lists.ts'
import { createMarkRead } from './mark-read.ts'
import { createNotifications } from './notifications.ts'
import { createOwners } from './owners.ts'
import { createReceipts } from './receipts.ts'
import { createWasCommitted } from './requests.ts'

/** What is remembered at least. */
const TAKEN_ENTRIES = 50_000
const KEPT_NOTIFICATIONS = 200
const RECENT_ACCOUNTS = 3_000

const MICROSECONDS = 1_000

export const createVerbDeps = (kv: Kv, clock: Pick<Clock, 'now'>): VerbDeps => {
  let place = 0
  const nextPlace = () => {
    place = Math.max(place + 1, Math.floor(clock.now() * MICROSECONDS))
    return place
  }
  return {
    kv,
    clock,
    nextPlace,
    newChunkName: createChunkNames(nextPlace),
    taken: createBoundedMap(TAKEN_ENTRIES),
    kept: createBoundedMap(KEPT_NOTIFICATIONS),
    accounts: createBoundedMap(RECENT_ACCOUNTS),
    ring: () => kv.publish(OUTBOX_CHANNEL, ['']),
  }
}

export const createDeliveryStore = (deps: VerbDeps) => {
  const accounts = createAccounts(deps)
  return {
    ...accounts,
    ...createOwners(deps, accounts),
    ...createWasCommitted(deps),
    ...createLists(deps),
    ...createNotifications(deps),
    ...createEnqueue(deps),
    ...createOutbox(deps),
    ...createComplete(deps),
    ...createDeliver(deps),
    ...createMarkRead(deps),
    ...createHistory(deps),
    ...createReceipts(deps),
    ...createCancel(deps),
    ...createForget(deps),
    ...createSweep(deps),
  }
}
