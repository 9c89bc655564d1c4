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
export const startBoth = async (): Promise<Both<BenchServer> & AsyncDisposable> => {
  const owned = createReleaseStack()
  try {
    const embedded = owned.use(await startServer())
    // REDIS_URL names one that is there; it should have nothing else to do.
    const url = process.env.REDIS_URL ?? owned.use(await startRedis({ appendonly: true })).url
    const redis = owned.use(await startServer({ redisUrl: url }))
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
  const results: Both<T[]> = { embedded: [], redis: [] }
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 ? (['redis', 'embedded'] as const) : (['embedded', 'redis'] as const)
    for (const name of order) results[name].push(await work(sides[name], round))
  }
  return results
}

export const median = (values: readonly number[]): number => percentile(values, 0.5)

/** Of figures of which more is better. */
export const ratio = ({ embedded, redis }: Both<readonly number[]>): string =>
  (median(redis) / median(embedded)).toFixed(2)
