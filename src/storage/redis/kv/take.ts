/** Leases of the port's queues in Redis. */
import { invariant } from '../../../platform/invariant.ts'
import type { HeldPlace, Kv, Taken, TakenPlace } from '../../kv.ts'
import type { RedisConnection } from '../connection.ts'
import { groupBy } from '../group-by.ts'
import { kvPeek, kvPeekLine, kvReleasePlaces, kvTake, kvTakePlaces, kvWeigh } from '../lua/kv/take.ts'
import { inCalls, MAX_TAKE, takePlan } from '../partition-calls.ts'
import { list, whole } from '../script.ts'
import { KEY_BYTES, leasedScore, memberOf, returnedScore } from './line.ts'
import { keyOf, keysOf } from './rows.ts'

/** About how many things a row of a line stands for at most. */
const MAX_WEIGHT = 8

/** Scores of what comes back by `now`. */
const bandsOf = (now: number) => [now, leasedScore(0), leasedScore(now), returnedScore(0), returnedScore(now)]

/** Rows that a line has which are due. */
interface DueLine {
  partition: string
  rows: number
  /** The place of its first one in the order. */
  first: number
}

type Redis = Pick<RedisConnection, 'one' | 'script' | 'scriptBuffer' | 'spansSlots'>
type KeyIn = (partition: string) => string

/** The order of keys as a number. */
const placeOf = (key: unknown): number => {
  invariant(Buffer.isBuffer(key), 'a line answers with the key of its first row')
  return key.length < KEY_BYTES ? 0 : key.readUIntBE(0, 3) * 2 ** 32 + key.readUInt32BE(3)
}

const dueLines = (
  redis: Redis,
  partitions: readonly string[],
  keyIn: KeyIn,
  now: number,
): Promise<DueLine[]> =>
  inCalls(redis, partitions, async (some) => {
    const answers = list(await redis.one(() => redis.scriptBuffer(kvPeekLine, some.map(keyIn), bandsOf(now))))
    return some.map((partition, at) => ({
      partition,
      rows: whole(answers[2 * at]),
      first: placeOf(answers[2 * at + 1]),
    }))
  })

const weightOf = ({ key }: TakenPlace): number => key[KEY_BYTES - 1] ?? 1

/** Takes of several lines, of each up to a share; `limit`: of things. */
const takeShares = async (
  redis: Redis,
  lines: readonly DueLine[],
  keyIn: KeyIn,
  { limit, now, until, mayExceed }: { limit: number; now: number; until: number; mayExceed: boolean },
): Promise<TakenPlace[]> => {
  const offers = lines.map(({ partition, rows, first }) => ({ partition, count: MAX_WEIGHT * rows, first }))
  // A share is not smaller than a row may be.
  const plan = takePlan(offers, limit, MAX_WEIGHT)
  const shares = await inCalls(redis, plan, async (some) => {
    const isFirst = mayExceed && some[0] === plan[0]
    const args = [...bandsOf(now), leasedScore(until), isFirst ? '1' : '', ...some.map(([, most]) => most)]
    const keys = some.map(([partition]) => keyIn(partition))
    const answers = list(await redis.one(() => redis.scriptBuffer(kvTakePlaces, keys, args)))
    return some.map(([partition], at) =>
      list(answers[at]).map((member): TakenPlace => {
        invariant(Buffer.isBuffer(member), 'a row of a line has a key and a value')
        return { partition, at: 0, key: member.subarray(0, KEY_BYTES), value: member.subarray(KEY_BYTES) }
      }),
    )
  })
  return shares.flat()
}

export const takePlaces: (
  redis: RedisConnection,
  ...args: Parameters<Kv['takePlaces']>
) => Promise<TakenPlace[]> = async (redis, { table, partitions }, { limit, now, until }) => {
  const keyIn = (partition: string) => keyOf(redis.prefix, { table, partition, subject: '' })
  let lines = await dueLines(redis, partitions, keyIn, now)
  const taken: TakenPlace[] = []
  let left = limit
  // Rows stand for fewer things than they may: then the lines have more.
  while (left > 0 && lines.some(({ rows }) => rows > 0)) {
    const mayExceed = taken.length === 0
    const some = await takeShares(redis, lines, keyIn, { limit: left, now, until, mayExceed })
    if (some.length === 0) break
    taken.push(...some)
    for (const row of some) left -= weightOf(row)
    lines = lines.map((line) => ({
      ...line,
      rows: line.rows - some.filter(({ partition }) => partition === line.partition).length,
    }))
  }
  return taken.sort((a, b) => a.key.compare(b.key))
}

export const releasePlaces = async (
  redis: RedisConnection,
  rows: readonly HeldPlace[],
  at: number,
): Promise<void> => {
  const lines = groupBy(rows, ({ set }) => keyOf(redis.prefix, set))
  await Promise.all(
    [...lines].map(([key, own]) => {
      const args = own.flatMap(({ row, heldUntil }) => [memberOf(row), leasedScore(heldUntil)])
      return redis.one(() => redis.scriptBuffer(kvReleasePlaces, [key], [returnedScore(at), ...args]))
    }),
  )
}

export const weigh = async (
  redis: RedisConnection,
  { table, partitions }: Parameters<Kv['weigh']>[0],
): Promise<number> => {
  const keyIn = (partition: string) => keyOf(redis.prefix, { table, partition, subject: '' })
  const sums = await inCalls(redis, partitions, async (some) =>
    list(await redis.one(() => redis.script(kvWeigh, some.map(keyIn), []))),
  )
  return sums.reduce<number>((sum, one) => sum + whole(one), 0)
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
