/** Leases of the port's queues in Redis. */
import { invariant } from '../../../platform/invariant.ts'
import type { Kv, Taken } from '../../kv.ts'
import type { RedisConnection } from '../connection.ts'
import { kvPeek, kvTake } from '../lua/kv/take.ts'
import { inCalls, MAX_TAKE, takePlan } from '../partition-calls.ts'
import { list, whole } from '../script.ts'
import { keysOf } from './rows.ts'

export const take: (redis: RedisConnection, ...args: Parameters<Kv['take']>) => Promise<Taken[]> = async (
  redis,
  { table, partitions, subject = '' },
  { limit, now, until },
) => {
  const setIn = (partition: string) => keysOf(redis.prefix, { table, partition, subject })
  const peek = (some: readonly string[]) =>
    redis
      .one(() =>
        redis.scriptBuffer(
          kvPeek,
          some.map((partition) => setIn(partition)[1] ?? ''),
          [now],
        ),
      )
      .then((answers) =>
        some.map((partition, at) => ({
          partition,
          count: whole(list(answers)[2 * at]),
          first: Number(list(answers)[2 * at + 1]),
        })),
      )
  const plan: (readonly [string, number])[] =
    partitions.length === 1
      ? partitions.map((partition) => [partition, Math.min(limit, MAX_TAKE)] as const)
      : takePlan(await inCalls(redis, partitions, peek), limit)
  const taken = await inCalls(redis, plan, async (some) => {
    const args = [now, until, ...some.map(([, most]) => most)]
    const keys = some.flatMap(([partition]) => setIn(partition))
    const answers = list(await redis.one(() => redis.scriptBuffer(kvTake, keys, args)))
    return some.flatMap(([partition], at) => {
      const found = list(answers[at])
      return Array.from({ length: found.length / 3 }, (_, nth) => {
        const [id, value, due] = found.slice(3 * nth, 3 * nth + 3)
        invariant(Buffer.isBuffer(id) && Buffer.isBuffer(value), 'a row of a queue has an id and a value')
        return { partition, id, value, due: Number(due) }
      })
    })
  })
  return taken.sort((a, b) => a.due - b.due).map(({ due: _, ...one }) => one)
}
