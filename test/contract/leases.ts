import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Engine, TestStores } from '../support/stores.ts'

const T = Date.UTC(2026, 0, 1)
const lease = (holder: string, now = T, length = 1_000) => ({ holder, now, until: now + length })

/** What jobs may rely on that only one process should do, whatever the engine. */
export const leasesContract = (engine: Engine): void => {
  describe(`leases on ${engine.name}`, () => {
    let stores: TestStores
    const leases = () => stores.leases
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('give a free one to exactly one of a hundred who ask at once', async () => {
      const racers = Array.from({ length: 100 }, (_, at) => `racer ${at}`)
      const taken = await Promise.all(racers.map((holder) => leases().take('job', lease(holder))))
      expect(taken.filter(Boolean)).toHaveLength(1)
      const [winner = ''] = racers.filter((_, at) => taken[at])
      // … which the winner may prolong, and nobody else has.
      const again = await Promise.all(racers.map((holder) => leases().take('job', lease(holder, T + 500))))
      expect(racers.filter((_, at) => again[at])).toEqual([winner])
    })

    it('are apart by their names', async () => {
      expect(await leases().take('one', lease('a'))).toBe(true)
      expect(await leases().take('two', lease('b'))).toBe(true)
    })

    it('end by themselves, at their instant, and for one of those who wait then', async () => {
      await leases().take('job', lease('the dead'))
      expect(await leases().take('job', lease('heir', T + 999))).toBe(false)
      const heirs = Array.from({ length: 100 }, (_, at) => `heir ${at}`)
      const taken = await Promise.all(heirs.map((holder) => leases().take('job', lease(holder, T + 1_000))))
      expect(taken.filter(Boolean)).toHaveLength(1)
      expect(await leases().take('job', lease('the dead', T + 1_001))).toBe(false)
    })

    it('last as long as they were prolonged', async () => {
      await leases().take('job', lease('holder'))
      await leases().take('job', lease('holder', T + 900))
      expect(await leases().take('job', lease('other', T + 1_899))).toBe(false)
      expect(await leases().take('job', lease('other', T + 1_900))).toBe(true)
    })

    it('are given back by their holder only', async () => {
      await leases().take('job', lease('holder one'))
      await leases().release('job', 'holder')
      await leases().release('job', 'other')
      expect(await leases().take('job', lease('other'))).toBe(false)
      await leases().release('job', 'holder one')
      expect(await leases().take('job', lease('other'))).toBe(true)
    })
  })
}
