/** Every engine that the contract suites hold to the same sentences. Who needs LMDB alone imports stores.ts. */
import { randomBytes } from 'node:crypto'
import { openRedis } from '../../src/storage/redis/open.ts'
import { isOfThisRun, sharedCluster, sharedRedis } from './redis.ts'
import { removeKeys } from './redis-keys.ts'
import { type Engine, lmdb, reopenable } from './stores.ts'

/** Each store has a prefix of its own on a server that the whole file shares, or the whole run. */
const ofThisFile = `belfry-test-${randomBytes(4).toString('hex')}`
let prefixes = 0
const onRedis = (name: string, server: () => Promise<{ url: string }>): Engine => ({
  name,
  async open(options = {}) {
    const { url } = await server()
    prefixes += 1
    const own = { url, prefix: `${ofThisFile}-${prefixes}:`, ...options }
    return reopenable(
      () => openRedis(own),
      () => removeKeys(url, own.prefix),
    )
  },
})

export const redis = onRedis('Redis', sharedRedis)
const cluster = onRedis('a Redis Cluster', sharedCluster)
const all = [lmdb, redis, cluster]

/** Those of this run. */
export const engines: readonly Engine[] = all.filter((engine) => isOfThisRun(engine === cluster))

/** From each to each; a pair of which one is the cluster is the cluster's. */
export const enginePairs: readonly [name: string, from: Engine, to: Engine][] = all.flatMap((from) =>
  all
    .filter((to) => isOfThisRun(from === cluster || to === cluster))
    .map((to): [string, Engine, Engine] => [`${from.name} to ${to.name}`, from, to]),
)
