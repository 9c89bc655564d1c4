/** The rooms' stores over the port, for both engines. */
import { createContactsStore } from '../contacts/store.ts'
import { createMqStore } from '../mq/store-verbs.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Kv } from './kv.ts'

export const createRoomStores = (kv: Kv, clock: Pick<Clock, 'now'>) => ({
  contacts: createContactsStore(kv, clock),
  mq: createMqStore(kv),
})
