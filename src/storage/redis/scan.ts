import { Cluster, type Redis } from 'ioredis'
import type { RedisConnection } from './connection.ts'

/** Keys that a node looks at in one go. */
const SCAN_COUNT = 1_000

/** What a pattern must not take for one of its own signs. */
const literal = (text: string): string => text.replace(/[\\*?[\]]/g, '\\$&')

const addressOf = ({ options: { host, port } }: Redis): string => `${host}:${port}`

/**
 * All keys that match `pattern` behind our prefix (Redis' own signs: `*`, `[kr]`), of that type if one is stated, each
 * once; what comes or goes meanwhile may be among them. `from` is where to go on so that the keys of this page come again:
 * a node and its cursor. A node that is not there any more means that everything may lie elsewhere: then it begins anew.
 */
export async function* scanKeys(
  redis: RedisConnection,
  { pattern: own, type }: { pattern: string; type?: 'hash' | 'zset' },
  after?: string,
): AsyncIterable<{ keys: string[]; from: string }> {
  const { client, prefix } = redis
  // A cluster knows its nodes only when it has spoken to one.
  await redis.ping()
  const nodes = client instanceof Cluster ? client.nodes('master') : [client]
  const sorted = nodes.map((node) => ({ node, address: addressOf(node) }))
  sorted.sort((a, b) => (a.address < b.address ? -1 : 1))
  const [startAddress, startCursor = '0'] = after?.split(' ') ?? []
  const first = Math.max(
    0,
    sorted.findIndex(({ address }) => address === startAddress),
  )
  const isThere = sorted[first]?.address === startAddress
  const pattern = `${literal(prefix)}${own}`
  const seen = new Set<string>()
  for (const [at, { node, address }] of sorted.slice(first).entries()) {
    let cursor = at === 0 && isThere ? startCursor : '0'
    do {
      const from = `${address} ${cursor}`
      const position = cursor
      const [next, found] = await redis.one(() =>
        type === undefined
          ? node.scan(position, 'MATCH', pattern, 'COUNT', SCAN_COUNT)
          : node.scan(position, 'MATCH', pattern, 'COUNT', SCAN_COUNT, 'TYPE', type),
      )
      cursor = next
      const keys = found.filter((key) => {
        if (seen.has(key)) return false
        seen.add(key)
        return true
      })
      if (keys.length > 0) yield { keys, from }
    } while (cursor !== '0')
  }
}

/** Pairs of a hash (HSCAN) or a sorted set (ZSCAN), each once. */
export async function* scanPairs(
  scan: (cursor: string) => Promise<[cursor: string, flat: string[]]>,
): AsyncIterable<[name: string, value: string][]> {
  const seen = new Set<string>()
  let cursor = '0'
  do {
    const [next, flat] = await scan(cursor)
    cursor = next
    const pairs: [string, string][] = []
    for (let at = 0; at < flat.length; at += 2) {
      const [name, value] = [flat[at], flat[at + 1]]
      if (name === undefined || value === undefined || seen.has(name)) continue
      // One that came in a single piece needs no memory.
      if (cursor !== '0' || seen.size > 0) seen.add(name)
      pairs.push([name, value])
    }
    if (pairs.length > 0) yield pairs
  } while (cursor !== '0')
}
