/**
 * The port on Redis. The partition is the hash tag; `<table>` and `<subject>` name the set.
 *
 * | shape | `{<partition>}<table>:<subject>` | `{<partition>}<table>.o:<subject>` |
 * |---|---|---|
 * | cell | string | |
 * | map | hash: key → value | |
 * | ordered | sorted set of `<key> <end of the key> <value>`, all of score 0 | |
 * | index | sorted set of the keys, all of score 0 | |
 * | queue | hash: id → its end (8 bytes), value | sorted set: id by when it is due; a lease is a later time |
 * | line | | sorted set of 8 bytes of key and the value, by when it is due, or by its lease (`./line.ts`) |
 *
 * `{<partition>}once:<instance> <number>` is what a batch with `isOnce` was answered, for a minute. A set of a table with
 * `ends` goes when its last row has ended; until then its other rows stay.
 *
 * What is asked for in one turn leaves together: batches as one script call for a partition, or for all of them where one
 * call may touch several slots (`./encode.ts`), rows as one command for a set, or for all cells there (`./read.ts`).
 */
import { createKeyedLock } from '../../../platform/concurrency/keyed-lock.ts'
import type { Kv } from '../../kv.ts'
import type { Channels } from '../channels.ts'
import type { RedisConnection } from '../connection.ts'
import { createCommits } from './commit.ts'
import { createReads } from './read.ts'
import { createRun } from './run.ts'
import { releasePlaces, take, takePlaces, weigh } from './take.ts'
import { createWakeUps } from './wake-ups.ts'
import { rows } from './walk.ts'

export const createRedisKv = ({
  redis,
  channels,
  instance,
}: {
  redis: RedisConnection
  channels: Channels
  /** Unique among the processes. */
  instance: string
}): Kv => {
  const core = { read: createReads(redis), commit: createCommits(redis, instance), inTurn: createKeyedLock() }
  return {
    ...core,
    run: createRun(core),
    takePlaces: (line, lease) => takePlaces(redis, line, lease),
    releasePlaces: (rows, at) => releasePlaces(redis, rows, at),
    weigh: (line) => weigh(redis, line),
    take: (queue, lease) => take(redis, queue, lease),
    rows: (table, _after, partitions) => rows(redis, table, partitions),
    size: async () => undefined,
    // Redis does it.
    sweep: async () => 0,
    ...createWakeUps(channels, instance),
  }
}
