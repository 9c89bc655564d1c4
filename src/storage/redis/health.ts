/** What a Redis says of itself; of a Cluster each master. */
import { Cluster, type Redis } from 'ioredis'
import type { RedisHealth, StoreHealth } from '../stores.ts'
import type { RedisConnection } from './connection.ts'

const healthOf = (info: string): RedisHealth => {
  const fields = new Map(
    info.split(/\r?\n/).flatMap((line): [string, string][] => {
      const at = line.indexOf(':')
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : []
    }),
  )
  const field = (name: string) => fields.get(name) ?? ''
  const maxBytes = Number(field('maxmemory'))
  return {
    version: field('redis_version'),
    usedBytes: Number(field('used_memory')),
    maxBytes: maxBytes > 0 ? maxBytes : null,
    policy: field('maxmemory_policy'),
    isAppendOnly: field('aof_enabled') === '1',
    lastAppend: field('aof_last_write_status'),
    lastSave: field('rdb_last_bgsave_status'),
    clients: Number(field('connected_clients')),
  }
}

export const createRedisHealth = (redis: RedisConnection) => async (): Promise<StoreHealth> => {
  const { client } = redis
  const masters: Redis[] = client instanceof Cluster ? client.nodes('master') : [client]
  const infos = await redis.batch(() => masters.map((one) => one.info()))
  return { engine: 'redis', nodes: infos.map(healthOf) }
}
