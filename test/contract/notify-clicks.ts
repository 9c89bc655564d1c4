import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLICK_TABLES } from '../../src/notify/store/click-rows.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { DAY, notification, T } from './notify-samples.ts'

export const notifyClicksContract = (engine: Engine): void => {
  describe(`clicks of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('counts clicks of each copy and of all, with the time of the first', async () => {
      const one = notification('one')
      expect(await stores.notify.clicks(one)).toBeUndefined()
      await stores.notify.click(one, 'a', T + 5)
      await Promise.all(Array.from({ length: 9 }, () => stores.notify.click(one, 'a', T + 6)))
      await stores.notify.click(one, 'b', T + 7)
      await stores.reopen()
      const days = [{ day: '2026-01-01', count: 11 }]
      expect(await stores.notify.clicks(one)).toEqual({ count: 11, firstAt: T + 5, copies: 2, days })
      expect(await stores.notify.copyClicks(one, 'a')).toEqual({ count: 10, firstAt: T + 5 })
      expect(await stores.notify.copyClicks(one, 'b')).toEqual({ count: 1, firstAt: T + 7 })
      expect(await stores.notify.copyClicks(one, 'c')).toBeUndefined()
    })

    it('counts a crowd on one link and on many, each click once', async () => {
      const one = notification('one')
      const crowd = Array.from({ length: 100 }, (_, at) => at)
      await Promise.all([
        ...crowd.map(() => stores.notify.click(one, 'a', T)),
        ...crowd.map((at) => stores.notify.click(one, `copy ${at}`, T)),
      ])
      expect(await stores.notify.clicks(one)).toMatchObject({ count: 200, copies: 101 })
      expect(await stores.notify.copyClicks(one, 'a')).toMatchObject({ count: 100 })
      expect(await stores.notify.copyClicks(one, 'copy 99')).toMatchObject({ count: 1 })
    })

    const rowsKept = async () => {
      let kept = 0
      for (const { table } of Object.values(CLICK_TABLES))
        for await (const { rows } of stores.kv.rows(table)) kept += rows.length
      return kept
    }

    it('keeps no more rows for further clicks of a copy', async () => {
      const one = notification('one')
      await stores.notify.click(one, 'a', T)
      const kept = await rowsKept()
      await stores.notify.click(one, 'a', T + 1)
      expect(await rowsKept()).toBe(kept)
      await stores.notify.click(one, 'b', T + 1)
      expect(await rowsKept()).toBe(kept + 1)
    })

    it('keeps clicks until their notification ends, and no longer', async () => {
      const [one, later] = [notification('one'), notification('later', { expiresAt: T + 60 * DAY })]
      for (const each of [one, later]) await stores.notify.click(each, 'a', T)
      await stores.notify.click(one, 'a', T + DAY)
      await stores.kv.sweep(one.expiresAt - 1, 100)
      expect(await stores.notify.clicks(one)).toMatchObject({ count: 2 })
      await stores.kv.sweep(one.expiresAt, 100)
      // Redis forgets by itself, a while later.
      if (engine.name === 'LMDB') {
        expect(await stores.notify.clicks(one)).toBeUndefined()
        expect(await stores.notify.copyClicks(one, 'a')).toBeUndefined()
        await stores.notify.click(later, 'a', T + 1)
      }
      expect(await stores.notify.copyClicks(later, 'a')).toBeDefined()
    })

    it('takes no other notification for this one, also not one that had the id before', async () => {
      await stores.notify.click(notification('one'), 'a', T)
      for (const other of [
        notification('two'),
        notification('one', { domain: 'other.example' }),
        notification('one', { projectId: 'other' }),
        notification('one', { createdAt: T + 31 * DAY }),
      ]) {
        expect(await stores.notify.clicks(other)).toBeUndefined()
        expect(await stores.notify.copyClicks(other, 'a')).toBeUndefined()
      }
    })
  })
}
