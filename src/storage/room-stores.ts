/** The rooms' stores over the port, for both engines. */
import { createArchiveStore } from '../archive/store/archive.ts'
import { REGISTRATION_TABLES } from '../archive/store/registrations.ts'
import { MESSAGE_TABLES } from '../archive/store/rows.ts'
import { CONTACTS_TABLES, createContactsStore } from '../contacts/store.ts'
import { createKeysStore, KEYS_TABLES } from '../keys/store-rows.ts'
import { MQ_TABLES } from '../mq/store-rows.ts'
import { createMqStore } from '../mq/store-verbs.ts'
import { ACTION_ANSWER_TABLES, createActionAnswerStore } from '../notify/store/action-answers.ts'
import { APP_TABLES, createAppStore } from '../notify/store/app-rows.ts'
import { CLICK_TABLES, createClickStore } from '../notify/store/click-rows.ts'
import { createProjectStore, PROJECT_TABLES } from '../notify/store/project-rows.ts'
import { createPushedStore, PUSHED_TABLES } from '../notify/store/pushes.ts'
import { createServerKeysStore, SERVER_KEYS } from '../notify/store/server-keys.ts'
import { createWebhookStore, WEBHOOKS } from '../notify/store/webhook-rows.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { createPushStore } from '../push/store/push.ts'
import { PUSH_TABLES } from '../push/store/rows.ts'
import { WATCH_TABLES } from '../relay/store-watches.ts'
import { CONSOLE_TABLES, createConsoleStore } from '../server/console/store.ts'
import { createOperatorStore, OPERATOR_TABLES } from '../sessions/operator/store.ts'
import { createSessionsStore } from '../sessions/relay/store.ts'
import { createJobQueue, JOB_TABLES } from './job-queue.ts'
import type { Kv, Table } from './kv.ts'
import { createLeases } from './leases.ts'

const TYPED_TABLES = [
  ...[MESSAGE_TABLES, REGISTRATION_TABLES, CONTACTS_TABLES, JOB_TABLES, KEYS_TABLES, MQ_TABLES],
  ...[OPERATOR_TABLES, APP_TABLES, CLICK_TABLES, PROJECT_TABLES, { SERVER_KEYS, WEBHOOKS }, WATCH_TABLES],
  ...[PUSH_TABLES, PUSHED_TABLES, ACTION_ANSWER_TABLES, CONSOLE_TABLES],
]
/** All that lasts. */
export const ROOM_TABLES: readonly Table[] = TYPED_TABLES.flatMap((tables) =>
  Object.values<{ table: Table }>(tables).map(({ table }) => table),
)

export const createRoomStores = (kv: Kv, clock: Pick<Clock, 'now'>) => ({
  archive: createArchiveStore(kv, clock),
  contacts: createContactsStore(kv, clock),
  jobQueue: createJobQueue(kv),
  leases: createLeases(kv),
  mq: createMqStore(kv),
  sessions: createSessionsStore(kv),
  keys: createKeysStore(kv, clock),
  operator: createOperatorStore(kv, clock),
  push: createPushStore(kv),
  console: createConsoleStore(kv),
})

/** What of the notify store is over the port; each engine has the rest. */
export const createNotifyRows = (kv: Kv) => ({
  ...createServerKeysStore(kv),
  ...createProjectStore(kv),
  ...createAppStore(kv),
  ...createWebhookStore(kv),
  ...createClickStore(kv),
  ...createPushedStore(kv),
  ...createActionAnswerStore(kv),
})
export type NotifyRows = ReturnType<typeof createNotifyRows>
