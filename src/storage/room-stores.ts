/** The rooms' stores over the port, for both engines. */
import { createArchiveStore } from '../archive/store/archive.ts'
import { createContactsStore } from '../contacts/store.ts'
import { createKeysStore } from '../keys/store-rows.ts'
import { createMqStore } from '../mq/store-verbs.ts'
import { createAppStore } from '../notify/store/app-rows.ts'
import { createProjectStore } from '../notify/store/project-rows.ts'
import { createServerKeysStore } from '../notify/store/server-keys.ts'
import { createWebhookStore } from '../notify/store/webhook-rows.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { createOperatorStore } from '../sessions/operator/store.ts'
import { createSessionsStore } from '../sessions/relay/store.ts'
import { createJobQueue } from './job-queue.ts'
import type { Kv } from './kv.ts'
import { createLeases } from './leases.ts'

export const createRoomStores = (kv: Kv, clock: Pick<Clock, 'now'>) => ({
  archive: createArchiveStore(kv, clock),
  contacts: createContactsStore(kv, clock),
  jobQueue: createJobQueue(kv),
  leases: createLeases(kv),
  mq: createMqStore(kv),
  sessions: createSessionsStore(kv),
  keys: createKeysStore(kv, clock),
  operator: createOperatorStore(kv, clock),
})

/** What of the notify store is over the port; each engine has the rest. */
export const createNotifyRows = (kv: Kv) => ({
  ...createServerKeysStore(kv),
  ...createProjectStore(kv),
  ...createAppStore(kv),
  ...createWebhookStore(kv),
})
export type NotifyRows = ReturnType<typeof createNotifyRows>
