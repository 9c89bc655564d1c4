/**
 * The Redis of the demo: the one that is named, which must be empty and is left empty; else one of its own, in a
 * directory that is removed.
 */
import { mkdir } from 'node:fs/promises'
import { Cluster } from 'ioredis'
import type { ReleaseStack } from '../../platform/runtime/release-stack.ts'
import { connectRedis } from '../../storage/redis/connection.ts'
import { NoSuchProgram, startChild } from './child.ts'
import { DemoFailure } from './page.ts'

/** How long a Redis that does not answer is waited for, ms. */
const START_TIMEOUT_MS = 5_000
const PAGE_SIZE = 1_000

/**
 * Makes sure that the Redis holds nothing, so that whatever of ours is in it at the end is the demo's, which is removed.
 * Throws `DemoFailure`.
 */
export const borrowRedis = async (url: string, owned: ReleaseStack): Promise<void> => {
  const redis = owned.use(connectRedis({ url, timeoutMs: START_TIMEOUT_MS }))
  const nodes = () => (redis.client instanceof Cluster ? redis.client.nodes('master') : [redis.client])
  try {
    await redis.ping()
    const sizes = await redis.batch(() => nodes().map((node) => node.dbsize()))
    const keys = sizes.reduce((sum, size) => sum + size, 0)
    if (keys > 0) {
      throw new DemoFailure(
        `That Redis is not empty (keys: ${keys}), and the demo touches nothing that is not its own: name an empty one (redis://host:port/1 is another database), or none.`,
      )
    }
  } catch (error) {
    if (error instanceof DemoFailure) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new DemoFailure(`That Redis cannot be used: ${reason}.`, { cause: error })
  }
  owned.defer(async () => {
    for (const node of nodes()) {
      for (let cursor = '0'; ; ) {
        const [next, keys] = await node.scan(cursor, 'MATCH', `${redis.prefix}*`, 'COUNT', PAGE_SIZE)
        // One by one: in a cluster they lie in different slots.
        await redis.batch(() => keys.map((key) => node.unlink(key)))
        if (next === '0') break
        cursor = next
      }
    }
  })
}

/** Starts one on the port and resolves to its URL. Throws `DemoFailure` where there is no program for it. */
export const ownRedis = async (
  directory: string,
  port: number,
  { owned, signal }: { owned: ReleaseStack; signal: AbortSignal },
): Promise<{ url: string; pid: number }> => {
  await mkdir(directory)
  for (const command of ['redis-server', 'valkey-server']) {
    try {
      const { pid } = owned.use(
        await startChild({
          name: 'Redis',
          command,
          args: [
            ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory],
            ...['--save', '', '--appendonly', 'yes', '--maxmemory-policy', 'noeviction'],
          ],
          isReady: (line) => line.includes('Ready to accept connections'),
          signal,
        }),
      )
      return { url: `redis://127.0.0.1:${port}`, pid }
    } catch (error) {
      if (!(error instanceof NoSuchProgram)) throw error
    }
  }
  throw new DemoFailure(
    'There is no redis-server or valkey-server on the PATH: install one, version 7 or newer (Debian: apt-get install redis-server; macOS: brew install redis), or name an empty Redis with --redis redis://host:port.',
  )
}
