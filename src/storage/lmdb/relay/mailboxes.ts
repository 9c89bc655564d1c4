/** What can be done to one topic of the relay within a transaction. */
import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits } from '../../../relay/store.ts'
import type { Env } from '../env.ts'
import { createMakeRoom } from './make-room.ts'
import { createPublish } from './publish.ts'
import { openRelayTables } from './tables.ts'
import { createMembers, createTopics } from './topics.ts'

export { FLOOR } from './tables.ts'

export const createMailboxes = (env: Env, limits: MailboxLimits = DEFAULT_MAILBOX_LIMITS) => {
  const tables = openRelayTables(env)
  const topics = createTopics(tables)
  const members = createMembers(tables, limits)
  const makeRoom = createMakeRoom({ tables, topics })
  return {
    tables,
    ...topics,
    ...members,
    publish: createPublish({ tables, topics, members, makeRoom, limits }),
  }
}
export type Mailboxes = ReturnType<typeof createMailboxes>
