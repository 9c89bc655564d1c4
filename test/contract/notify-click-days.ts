import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Engine, TestStores } from '../support/stores.ts'
import { DAY, notification, T } from './notify-samples.ts'

export const notifyClickDaysContract = (engine: Engine): void => {
  describe(`clicks by day of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    const one = notification('one', { expiresAt: T + 365 * DAY })
    const daysOf = async (of = one) => (await stores.notify.clicks(of))?.days

    it('counts the clicks of all copies, each on its UTC day, in the order of the days', async () => {
      await stores.notify.click(one, 'a', T + 3 * DAY)
      for (const copy of ['a', 'a', 'b']) await stores.notify.click(one, copy, T + DAY - 1)
      await stores.notify.click(one, 'b', T + DAY)
      await stores.reopen()
      expect(await daysOf()).toEqual([
        { day: '2026-01-01', count: 3 },
        { day: '2026-01-02', count: 1 },
        { day: '2026-01-04', count: 1 },
      ])
      expect(await daysOf(notification('two'))).toBeUndefined()
    })

    it('counts a crowd of two days', async () => {
      const crowd = Array.from({ length: 100 }, (_, at) => at)
      await Promise.all(crowd.map((at) => stores.notify.click(one, `copy ${at % 30}`, T + (at % 2) * DAY)))
      expect(await daysOf()).toEqual([
        { day: '2026-01-01', count: 50 },
        { day: '2026-01-02', count: 50 },
      ])
      expect(await stores.notify.clicks(one)).toMatchObject({ count: 100, copies: 30 })
    })

    it('keeps the newest 90 days with clicks', async () => {
      for (let day = 0; day < 92; day++) await stores.notify.click(one, 'a', T + day * DAY)
      // Too old for a place among them; it counts in the sum.
      await stores.notify.click(one, 'a', T)
      await stores.notify.click(one, 'a', T + 2 * DAY)
      const days = (await daysOf()) ?? []
      expect(days).toHaveLength(90)
      expect(days[0]).toEqual({ day: '2026-01-03', count: 2 })
      expect(days.at(-1)).toEqual({ day: '2026-04-02', count: 1 })
      expect(await stores.notify.clicks(one)).toMatchObject({ count: 94 })
    })

    it('ends with its notification', async () => {
      const short = notification('short')
      await stores.notify.click(short, 'a', T)
      await stores.kv.sweep(short.expiresAt - 1, 100)
      expect(await daysOf(short)).toHaveLength(1)
      await stores.kv.sweep(short.expiresAt, 100)
      // Redis forgets by itself, a while later.
      if (engine.name === 'LMDB') expect(await daysOf(short)).toBeUndefined()
    })
  })
}
