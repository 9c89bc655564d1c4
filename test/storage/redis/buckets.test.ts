import { expect, it } from 'vitest'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { eventually } from '../../support/eventually.ts'
import { sharedServers, startRedis } from '../../support/redis.ts'

const open = async (url: string, prefix: string) => {
  const stores = await openRedis({ url, prefix, timeoutMs: 1_000 })
  await stores.ping()
  const { buckets } = stores
  if (!buckets) throw new Error('Redis has shared buckets')
  return { buckets, [Symbol.asyncDispose]: () => stores[Symbol.asyncDispose]() }
}

it.each(sharedServers)(
  'several processes share one bucket on %s, which refills evenly',
  async (_, server) => {
    const { url } = await server()
    const prefix = `buckets-${process.pid}:`
    await using one = await open(url, prefix)
    await using two = await open(url, prefix)
    // 2 a second.
    const size = { burst: 6, seconds: 3 }
    const started = Date.now()
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, at) => (at % 2 ? one : two).buckets.take(['eip155:0xabc'], size)),
    )
    const waits = answers.flat()
    expect(waits.filter((wait) => wait === 0)).toHaveLength(6)
    const refused = waits.filter((wait) => wait > 0)
    for (const wait of refused) expect(wait).toBeLessThanOrEqual(500)
    // Half a second later there is one more, not six.
    const [late = 0] = await eventually(async () => {
      const both = (
        await Promise.all([one, two].map(({ buckets }) => buckets.take(['eip155:0xabc'], size)))
      ).flat()
      if (!both.includes(0)) throw new Error('it is still empty')
      return both.filter((wait) => wait > 0)
    })
    expect(late).toBeGreaterThan(0)
    expect(Date.now() - started).toBeGreaterThanOrEqual(400)
    // What many take at once is asked at once, each for itself.
    const names = Array.from({ length: 500 }, (_, at) => `many ${at}`)
    expect(new Set(await one.buckets.take(names, size))).toEqual(new Set([0]))
  },
)

it('goes on by the buckets of the process while Redis is away, and nobody is refused for that', async () => {
  await using redis = await startRedis()
  await using stores = await open(redis.url, 'b:')
  const size = { burst: 3, seconds: 3_600 }
  expect(await stores.buckets.take(['a'], size)).toEqual([0])
  await redis.stop()
  await eventually(async () => {
    // Redis is known to be away from the moment in which the connection is.
    expect(await stores.buckets.take(['other'], { burst: 1_000, seconds: 1 })).toEqual([0])
  })
  const waits = (await stores.buckets.take(['b', 'b', 'b', 'b'], size)).map((wait) => wait > 0)
  expect(waits).toEqual([false, false, false, true])
})

it('names nobody in its keys', async () => {
  await using redis = await startRedis()
  await using stores = await open(redis.url, 'b:')
  await stores.buckets.take(['subscriber:p:eip155:0xabcdef'], { burst: 3, seconds: 3_600 })
  const keys = (await redis.cli('keys', '*')).trim().split('\n')
  expect(keys).toHaveLength(1)
  expect(keys[0]).toMatch(/^b:limit:[\w-]{27}$/)
  expect(Number(await redis.cli('pttl', keys[0] ?? ''))).toBeGreaterThan(1_000_000)
})
