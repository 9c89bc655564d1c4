/**
 * The same measurement on both engines, turn and turn about: what else happens on the machine meets both of them alike,
 * so the ratio can be believed where the figures cannot.
 */
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { startRedis } from '../../test/support/redis.ts'
import { type BenchServer, startServer } from './server.ts'
import { percentile } from './table.ts'

export interface Both<T> {
  embedded: T
  redis: T
}

/** A server on the embedded store, and one on a Redis of its own that keeps its AOF as docker-compose.yml says. */
export const startBoth = async (checkout = '.'): Promise<Both<BenchServer> & AsyncDisposable> => {
  const owned = createReleaseStack()
  try {
    const embedded = owned.use(await startServer({ checkout }))
    // REDIS_URL names one that is there; it should have nothing else to do.
    const url = process.env.REDIS_URL ?? owned.use(await startRedis({ appendonly: true })).url
    const redis = owned.use(await startServer({ redisUrl: url, checkout }))
    return { embedded, redis, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
  } catch (error) {
    await owned[Symbol.asyncDispose]()
    throw error
  }
}

/** As many rounds of each; who begins alternates. */
export const alternate = async <S, T>(
  sides: Both<S>,
  rounds: number,
  work: (side: S, round: number) => Promise<T>,
): Promise<Both<T[]>> => {
  const [embedded, redis] = await inTurns([sides.embedded, sides.redis], rounds, work)
  return { embedded, redis }
}

/** The same of any two; results in their order: first, second, second, first, and again. */
export const inTurns = async <S, T>(
  [first, second]: readonly [S, S],
  rounds: number,
  work: (side: S, round: number) => Promise<T>,
): Promise<[T[], T[]]> => {
  const results: [T[], T[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    const turns = [
      async () => results[0].push(await work(first, round)),
      async () => results[1].push(await work(second, round)),
    ]
    if (round % 2) turns.reverse()
    for (const turn of turns) await turn()
  }
  return results
}

export const median = (values: readonly number[]): number => percentile(values, 0.5)

/**
 * Rates of equal work that `inTurns` measured in an even number of rounds, two rounds that follow each other as one: in
 * these each side has begun once, so being the first of a round weighs on both alike.
 */
export const ofPairs = (rates: readonly number[]): number[] =>
  Array.from({ length: rates.length / 2 }, (_, pair) => {
    const [one = Number.NaN, other = Number.NaN] = rates.slice(2 * pair)
    return 2 / (1 / one + 1 / other)
  })

/** Of figures of which more is better. */
export const ratio = ({ embedded, redis }: Both<readonly number[]>): string =>
  (median(redis) / median(embedded)).toFixed(2)
