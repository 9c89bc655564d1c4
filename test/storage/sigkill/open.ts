/** The port alone, without the rooms: a process that is started again and again should start soon. */
import type { Kv } from '../../../src/storage/kv.ts'

export const openKv = async (where: string): Promise<AsyncDisposable & { kv: Kv }> => {
  if (where.startsWith('redis')) {
    const { connectRedis } = await import('../../../src/storage/redis/connection.ts')
    const { createChannels } = await import('../../../src/storage/redis/channels.ts')
    const { createRedisKv } = await import('../../../src/storage/redis/kv/engine.ts')
    const redis = connectRedis({ url: where })
    const kv = createRedisKv({ redis, channels: createChannels(redis), instance: `${process.pid}` })
    return { kv, [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose]() }
  }
  const { openEnv } = await import('../../../src/storage/lmdb/env.ts')
  const { createLmdbKv } = await import('../../../src/storage/lmdb/kv/engine.ts')
  const env = openEnv(where)
  return { kv: createLmdbKv(env, []), [Symbol.asyncDispose]: () => env.close() }
}
