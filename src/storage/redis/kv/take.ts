/** Leases of the port's queues in Redis. */
import { invariant } from '../../../platform/invariant.ts'
import type { Kv, Taken } from '../../kv.ts'
import type { RedisConnection } from '../connection.ts'
import { kvPeek, kvTake } from '../lua/kv/take.ts'
import { list, whole } from '../script.ts'
import { keysOf } from './rows.ts'

/** Takes are spread over so many partitions, if there are so many that have something. */
const MIN_TAKE_PARTITIONS = 8
/** Of one partition in one take. */
const MAX_TAKE = 1_000

/** How many of each partition to take: from where they are longest due first, from several at once. */
const takePlan = (offers: readonly { partition: string; count: number; first: number }[], limit: number) => {
  const sorted = offers.filter(({ count }) => count > 0).sort((a, b) => a.first - b.first)
  const share = Math.ceil(limit / Math.max(1, Math.min(MIN_TAKE_PARTITIONS, sorted.length)))
  const plan = new Map<string, number>()
  let open = limit
  for (const atMost of [share, limit]) {
    for (const { partition, count } of sorted) {
      const already = plan.get(partition) ?? 0
      const more = Math.min(Math.min(count, atMost, MAX_TAKE) - already, open)
      if (more <= 0) continue
      plan.set(partition, already + more)
      open -= more
    }
  }
  return [...plan]
}

/** One call for each share, or one for all where slots do not count. */
const inCalls = async <S, A>(
  { spansSlots }: Pick<RedisConnection, 'spansSlots'>,
  shares: readonly S[],
  call: (some: readonly S[]) => Promise<readonly A[]>,
): Promise<A[]> => {
  if (shares.length === 0) return []
  const answers = await Promise.all(spansSlots ? [call(shares)] : shares.map((share) => call([share])))
  return answers.flat()
}

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
