/** How full Redis is (the fullest master of a Cluster), and why it takes no write. */
import { Cluster, type Redis } from 'ioredis'
import type { Space, StoreSpace } from '../../platform/budgets/watermark.ts'
import type { RedisConnection } from './connection.ts'

/** Keys that are tried in a Cluster: so many that every master has one, but for one of very few slots. */
const CLUSTER_PROBES = 64
const PROBE_TTL_MS = 1_000

const REASONS: Record<string, string> = {
  OOM: 'Redis is full: maxmemory is reached',
  MISCONF: 'Redis takes no writes because it cannot save them to its disk',
  READONLY: 'This Redis is a replica and takes no writes',
  NOREPLICAS: 'Redis takes no writes because too few of its replicas are connected',
}

const reasonOf = (reply: string): string =>
  REASONS[/^[A-Z]+/.exec(reply)?.[0] ?? ''] ?? 'Redis takes no writes'

/** Without `maxmemory` Redis may take what the machine has, and is killed by the system where that is too much. */
const spaceOf = (info: string): Space => {
  const lines = info.split('\n')
  const field = (name: string): number => {
    const line = lines.find((one) => one.startsWith(`${name}:`))
    return line === undefined ? Number.NaN : Number.parseInt(line.slice(name.length + 1), 10)
  }
  const totalBytes = field('maxmemory') || field('total_system_memory')
  // Buffers of replicas and of the append-only file are not held against `maxmemory`.
  const usedBytes = field('used_memory') - (field('mem_not_counted_for_evict') || 0)
  if (Number.isNaN(totalBytes) || Number.isNaN(usedBytes)) {
    throw new Error('Redis does not say how much memory it uses')
  }
  return { kind: 'memory', totalBytes, freeBytes: Math.max(0, totalBytes - usedBytes) }
}

const freeRatio = ({ freeBytes, totalBytes }: Space): number => (totalBytes > 0 ? freeBytes / totalBytes : 1)

export const createRedisSpace = (redis: RedisConnection): StoreSpace => {
  const { client } = redis
  const masters = (): Redis[] => (client instanceof Cluster ? client.nodes('master') : [client])
  return {
    async measure() {
      const infos = await redis.batch(() => masters().map((one) => one.info('memory')))
      const [fullest] = infos.map(spaceOf).sort((a, b) => freeRatio(a) - freeRatio(b))
      if (!fullest) throw new Error('The Redis Cluster has no master')
      return fullest
    },
    async tryWrite() {
      const count = client instanceof Cluster ? CLUSTER_PROBES : 1
      const keys = Array.from({ length: count }, (_, at) => `${redis.prefix}{probe${at}}`)
      await redis.batch(() => keys.map((key) => client.set(key, '', 'PX', PROBE_TTL_MS)))
    },
    onFailedWrite: (listener) => redis.onRefusedWrite((reply) => listener(reasonOf(reply))),
  }
}
