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
    const size = { burst: 6, seconds: 3 }
    // None comes back while this lasts.
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, at) =>
        (at % 2 ? one : two).buckets.take(['shared'], { burst: 6, seconds: 86_400 }),
      ),
    )
    expect(answers.flat().filter((wait) => wait === 0)).toHaveLength(6)

    // One more every half second, however long the takes are under way; who is refused waits for the next one.
    const began = performance.now()
    const looks: { given: number; refused: number[]; allowed: number }[] = []
    let given = 0
    await eventually(async () => {
      const waits = await Promise.all(
        Array.from({ length: 12 }, (_, at) => (at % 2 ? one : two).buckets.take(['even'], size)),
      )
      const refused = waits.flat().filter((wait) => wait > 0)
      given += 12 - refused.length
      looks.push({ given, refused, allowed: 6 + Math.ceil((performance.now() - began) / 500) })
      if (given < 8) throw new Error('it is still empty')
    })
    expect(looks.filter(({ given, allowed }) => given > allowed)).toEqual([])
    expect(Math.max(...looks.flatMap(({ refused }) => refused))).toBeLessThanOrEqual(500)
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
