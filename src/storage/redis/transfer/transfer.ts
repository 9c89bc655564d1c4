/**
 * What Redis holds as records, and back (`../../transfer/transfer.ts`). Reading follows the lists that the stores keep, and walks
 * the keys where there are none (SCAN); writing uses the rooms' verbs where those are exact, and scripts otherwise.
 *
 * There is no snapshot: each record is as it was when it was read, and what changes meanwhile may be among
 * them or not.
 */
import type { Kv } from '../../kv.ts'
import { readersOfRows } from '../../transfer/kv-readers.ts'
import type { Readers, Transfer } from '../../transfer/transfer.ts'
import { type Transferred, writesByVerbs } from '../../transfer/writes.ts'
import type { RedisConnection } from '../connection.ts'
import { watchedOf } from '../relay/webhook-registrations.ts'
import { scanPairs } from '../scan.ts'
import { createNotifyTransfer } from './notify.ts'
import { createRelayTransfer } from './relay.ts'

/** Pairs that a scan of one key looks at in one go. */
const SCAN_COUNT = 1_000

/** What all tables are read from. */
interface Source {
  redis: RedisConnection
  rooms: Transferred
}

const unknownSize = async () => undefined

/** Webhook registrations of the relay. */
const workReaders = ({ redis, rooms }: Source): Pick<Readers, 'watch'> => {
  const { client, prefix } = redis
  const { relay } = rooms
  const watched = watchedOf(prefix)
  return {
    watch: {
      async *read({ now }) {
        const scan = (cursor: string) => redis.one(() => client.zscan(watched, cursor, 'COUNT', SCAN_COUNT))
        for await (const pairs of scanPairs(scan)) {
          const clientIds = pairs.map(([clientId]) => clientId)
          yield { records: await relay.watches(clientIds, now, true), cursor: undefined }
        }
      },
      size: unknownSize,
    },
  }
}

export const createRedisTransfer = (
  { redis, kv }: { redis: RedisConnection; kv: Kv },
  rooms: Transferred,
): Transfer => {
  const { client, prefix } = redis
  const mailboxes = createRelayTransfer(redis, rooms.relay)
  const rest = createNotifyTransfer(redis)
  const source: Source = { redis, rooms }
  const noteKey = `${prefix}transfer`
  const read: Readers = {
    ...rest.read,
    ...mailboxes.read,
    ...readersOfRows(kv),
    ...workReaders(source),
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
