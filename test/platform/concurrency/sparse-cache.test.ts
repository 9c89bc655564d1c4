import { expect, it } from 'vitest'
import { createSparseCache } from '../../../src/platform/concurrency/sparse-cache.ts'
import { manualClock } from '../../support/clock.ts'

/** A store in memory that counts what it is asked, and can be told to wait with its answers. */
const start = (entries = { with: 10, without: 10 }) => {
  const stored = new Map<string, number>()
  const asked: string[][] = []
  const listeners = new Set<(key: string) => void>()
  let looks = 0
  let gate = Promise.resolve()
  const clock = manualClock()
  const cache = createSparseCache<number>(
    {
      async hasAny() {
        looks++
        const has = stored.size > 0
        await gate
        return has
      },
      async read(keys) {
        asked.push([...keys])
        const found = new Map(
          keys.flatMap((key) => (stored.has(key) ? [[key, stored.get(key) ?? 0] as const] : [])),
        )
        await gate
        return found
      },
      onChange(listener) {
        listeners.add(listener)
        return { [Symbol.dispose]: () => listeners.delete(listener) }
      },
    },
    { clock },
    entries,
  )
  return {
    cache,
    clock,
    asked,
    looks: () => looks,
    put(key: string, value: number) {
      stored.set(key, value)
      for (const listener of listeners) listener(key)
    },
    /** What changes without a word of it. */
    putUnseen: (key: string, value: number) => void stored.set(key, value),
    hold() {
      let release = () => {}
      gate = new Promise((resolve) => {
        release = resolve
      })
      return () => release()
    },
    listeners: () => listeners.size,
  }
}

it('asks once whether anybody has something, and for nobody while nobody has', async () => {
  const { cache, asked, looks } = start()
  expect(cache.isEmpty()).toBe(false)
  for (const _ of [1, 2, 3]) expect(await cache.among(['a', 'b'])).toEqual(new Map())
  expect([cache.isEmpty(), asked, looks()]).toEqual([true, [], 1])
})

it('remembers who has something and who has nothing, for ten seconds', async () => {
  const { cache, clock, asked, put, putUnseen } = start()
  put('a', 1)
  for (const _ of [1, 2]) expect(await cache.among(['a', 'b', 'b'])).toEqual(new Map([['a', 1]]))
  expect(asked).toEqual([['a', 'b']])
  expect([cache.isWithout('a', clock.now()), cache.isWithout('b', clock.now())]).toEqual([false, true])
  putUnseen('b', 2)
  await clock.advance(9_999)
  expect(await cache.among(['a', 'b'])).toEqual(new Map([['a', 1]]))
  await clock.advance(1)
  expect(cache.isWithout('b', clock.now())).toBe(false)
  expect(await cache.among(['a', 'b'])).toEqual(
    new Map([
      ['a', 1],
      ['b', 2],
    ]),
  )
})

it('forgets what it is told has changed, and relies on nothing that was read before', async () => {
  const { cache, clock, put, hold, listeners } = start()
  expect(await cache.hasAny()).toBe(false)
  put('a', 1)
  expect(await cache.among(['a', 'b'])).toEqual(new Map([['a', 1]]))
  const release = hold()
  const early = cache.among(['c'])
  await Promise.resolve()
  await Promise.resolve()
  put('c', 3)
  release()
  expect(await early).toEqual(new Map())
  expect(cache.isWithout('c', clock.now())).toBe(false)
  expect(await cache.among(['c'])).toEqual(new Map([['c', 3]]))
  cache[Symbol.dispose]()
  expect(listeners()).toBe(0)
})

it('remembers no more than twice as many as it may', async () => {
  const { cache, clock, asked, put } = start({ with: 2, without: 3 })
  put('a', 1)
  const keys = Array.from({ length: 100 }, (_, at) => `key ${at}`)
  for (const key of keys) await cache.among([key])
  expect(keys.filter((key) => cache.isWithout(key, clock.now())).length).toBeLessThanOrEqual(6)
  expect(asked.length).toBe(100)
})
