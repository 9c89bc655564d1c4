/** Keys that a test leaves on a server it shares: whoever walks all of them later would look at each. */
import { Cluster, Redis } from 'ioredis'
import { parseRedisUrl } from '../../src/storage/redis/url.ts'
import { atEndOfFile } from './end-of-file.ts'

const SCAN_COUNT = 1_000

const clients = new Map<string, Redis | Cluster>()
const clientOf = (url: string): Redis | Cluster => {
  const known = clients.get(url)
  if (known) return known
  const { hosts, isCluster, ...own } = parseRedisUrl(url)
  const client = isCluster ? new Cluster(hosts, { redisOptions: own }) : new Redis({ ...own, ...hosts[0] })
  clients.set(url, client)
  atEndOfFile(async () => {
    clients.delete(url)
    client.disconnect()
  })
  return client
}

/** `prefix`: without signs that mean something in a pattern. */
export const removeKeys = async (url: string, prefix: string): Promise<void> => {
  const client = clientOf(url)
  // A cluster knows its nodes only when it has spoken to one.
  await client.exists(prefix)
  const nodes = client instanceof Cluster ? client.nodes('master') : [client]
  for (const node of nodes) {
    let cursor = '0'
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', SCAN_COUNT)
      cursor = next
      // One by one: they lie in different slots of a cluster.
      await Promise.all(keys.map((key) => node.unlink(key)))
    } while (cursor !== '0')
  }
}
