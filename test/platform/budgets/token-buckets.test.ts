import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createBuckets } from '../../../src/platform/budgets/token-buckets.ts'
import { manualClock } from '../../support/clock.ts'

const SIZE = { burst: 20, seconds: 10 }

it('gives the burst at once, then refills evenly, and no more than the burst after a long rest', async () => {
  const clock = manualClock()
  const buckets = createBuckets(clock)
  const take = async () => (await buckets.take(['a'], SIZE))[0]
  for (let at = 0; at < 20; at++) expect(await take()).toBe(0)
  expect(await take()).toBe(500)
  await clock.advance(499)
  expect(await take()).toBe(1)
  await clock.advance(1)
  expect(await take()).toBe(0)
  expect(await take()).toBe(500)
  await clock.advance(3_600_000)
  let got = 0
  while ((await take()) === 0) got += 1
  expect(got).toBe(20)
})

it('keeps buckets apart by name, takes several tokens or none, and never has more than it holds', async () => {
  const buckets = createBuckets(manualClock())
  expect(await buckets.take(['a', 'b', 'a'], { burst: 1, seconds: 60 })).toEqual([0, 0, 60_000])
  expect(await buckets.take(['c'], SIZE, 15)).toEqual([0])
  expect(await buckets.take(['c'], SIZE, 6)).toEqual([500])
  expect(await buckets.take(['c'], SIZE, 5)).toEqual([0])
  expect((await buckets.take(['d'], SIZE, 21))[0]).toBeGreaterThan(0)
})

it('never gives more than burst + time × rate, and says exactly when it is of use to ask again', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 5_000 }),
      fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 200 }),
      async (burst, seconds, pauses) => {
        const clock = manualClock()
        const buckets = createBuckets(clock)
        const size = { burst, seconds }
        const start = clock.now()
        let got = 0
        for (const each of pauses) {
          await clock.advance(each)
          const [wait = 0] = await buckets.take(['a'], size)
          if (wait > 0) {
            await clock.advance(wait)
            expect(await buckets.take(['a'], size)).toEqual([0])
          }
          got += 1
          expect(got).toBeLessThanOrEqual(burst + ((clock.now() - start) * burst) / (seconds * 1000) + 1e-6)
        }
      },
    ),
    { numRuns: 20 },
  )
})
