/** Leases of the port's queues in Redis. */
import { invariant } from '../../../platform/invariant.ts'
import type { Kv, Taken, TakenPlace } from '../../kv.ts'
import type { RedisConnection } from '../connection.ts'
import { kvPeek, kvTake, kvTakePlaces } from '../lua/kv/take.ts'
import { inCalls, MAX_TAKE, takePlan } from '../partition-calls.ts'
import { list, whole } from '../script.ts'
import { keyOf, keysOf } from './rows.ts'

/** How many to take of each partition; `orderOf`: the key that has its order. */
const planOf = async (
  redis: RedisConnection,
  partitions: readonly string[],
  orderOf: (partition: string) => string,
  { now, limit, weight = 1 }: { now: number; limit: number; weight?: number },
): Promise<(readonly [string, number])[]> => {
  const peek = async (some: readonly string[]) => {
    const answers = list(await redis.one(() => redis.scriptBuffer(kvPeek, some.map(orderOf), [now])))
    return some.map((partition, at) => ({
      partition,
      count: weight * whole(answers[2 * at]),
      first: Number(answers[2 * at + 1]),
    }))
  }
  if (partitions.length === 1)
    return partitions.map((partition) => [partition, Math.min(limit, MAX_TAKE)] as const)
  return takePlan(await inCalls(redis, partitions, peek), limit)
}

const KEY_BYTES = 8
/** About how many things a row of a line stands for at most. */
const MAX_WEIGHT = 8

export const takePlaces: (
  redis: RedisConnection,
  ...args: Parameters<Kv['takePlaces']>
) => Promise<TakenPlace[]> = async (redis, { table, partitions }, { limit, now, until }) => {
  const keyIn = (partition: string) => keyOf(redis.prefix, { table, partition, subject: '' })
  const plan = await planOf(redis, partitions, keyIn, { now, limit, weight: MAX_WEIGHT })
  const taken = await inCalls(redis, plan, async (some) => {
    const args = [now, until, ...some.map(([, most]) => most)]
    const keys = some.map(([partition]) => keyIn(partition))
    const answers = list(await redis.one(() => redis.scriptBuffer(kvTakePlaces, keys, args)))
    return some.flatMap(([partition], at) => {
      const found = list(answers[at])
      const places: TakenPlace[] = []
      for (let nth = 0; nth < found.length; nth++) {
        const member = found[nth]
        invariant(Buffer.isBuffer(member), 'a row of a line has a key and a value')
        const value = member.subarray(KEY_BYTES)
        places.push({ partition, handle: member, key: member.subarray(0, KEY_BYTES), value })
      }
      return places
    })
  })
  return taken.sort((a, b) => a.key.compare(b.key))
}

export const take: (redis: RedisConnection, ...args: Parameters<Kv['take']>) => Promise<Taken[]> = async (
  redis,
  { table, partitions, subject = '' },
  { limit, now, until },
) => {
  const setIn = (partition: string) => keysOf(redis.prefix, { table, partition, subject })
  const plan = await planOf(redis, partitions, (partition) => setIn(partition)[1] ?? '', { now, limit })
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
