/**
 * What Redis holds as records, and back (`../../transfer/transfer.ts`). Of the relay reading walks the keys (SCAN), and writing
 * uses scripts.
 *
 * There is no snapshot: each record is as it was when it was read, and what changes meanwhile may be among
 * them or not.
 */
import { systemClock } from '../../../platform/runtime/clock.ts'
import type { Kv } from '../../kv.ts'
import { readRooms, writeRooms } from '../../transfer/rooms.ts'
import type { Readers, Transfer } from '../../transfer/transfer.ts'
import type { Transferred } from '../../transfer/writes.ts'
import type { RedisConnection } from '../connection.ts'
import { createRelayTransfer } from './relay.ts'

export const createRedisTransfer = (
  { redis, kv }: { redis: RedisConnection; kv: Kv },
  rooms: Transferred,
): Transfer => {
  const { client, prefix } = redis
  const mailboxes = createRelayTransfer(redis, rooms.relay)
  const noteKey = `${prefix}transfer`
  const read: Readers = { ...readRooms(kv), ...mailboxes.read }

  return {
    read,
    write: { ...writeRooms(rooms, { kv, clock: systemClock }), ...mailboxes.write },
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
