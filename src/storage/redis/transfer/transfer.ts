/**
 * What Redis holds as records, and back (`../../transfer/transfer.ts`). Reading follows the lists that the stores keep, and walks
 * the keys where there are none (SCAN); writing uses the rooms' verbs where those are exact, and scripts otherwise.
 *
 * There is no snapshot: each record is as it was when it was read, and what changes meanwhile may be among
 * them or not.
 */
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Kv } from '../../kv.ts'
import { readersOfRows } from '../../transfer/kv-readers.ts'
import type { Readers, Transfer } from '../../transfer/transfer.ts'
import { type Transferred, writesByVerbs } from '../../transfer/writes.ts'
import type { RedisConnection } from '../connection.ts'
import { createNotifyTransfer } from './notify.ts'
import { createRelayTransfer } from './relay.ts'

export const createRedisTransfer = (
  { redis, kv, clock }: { redis: RedisConnection; kv: Kv; clock: Clock },
  rooms: Transferred,
): Transfer => {
  const { client, prefix } = redis
  const mailboxes = createRelayTransfer({ redis, clock }, rooms.relay)
  const rest = createNotifyTransfer({ redis, clock })
  const noteKey = `${prefix}transfer`
  const read: Readers = {
    ...rest.read,
    ...mailboxes.read,
    ...readersOfRows(kv),
  }

  return {
    read,
    write: { ...writesByVerbs(rooms), ...rest.write, ...mailboxes.write },
    snapshot: () => ({ ...read, [Symbol.dispose]: () => {} }),
    async note() {
      return (await redis.one(() => client.get(noteKey))) ?? undefined
    },
    async setNote(note) {
      await redis.one(async () => {
        if (note === undefined) await client.del(noteKey)
        else await client.set(noteKey, note)
      })
    },
  }
}
