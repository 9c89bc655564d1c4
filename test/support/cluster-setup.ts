/** A Redis Cluster for a whole run of many files that each keep to prefixes of their own: `sharedCluster` finds it. */
import { type RedisCluster, startCluster } from './redis.ts'

let cluster: RedisCluster | undefined

export const setup = async (): Promise<void> => {
  if (process.env.REDIS_CLUSTER_URL) return
  cluster = await startCluster()
  process.env.REDIS_CLUSTER_URL = cluster.url
}

export const teardown = async (): Promise<void> => {
  await cluster?.[Symbol.asyncDispose]()
}
