import { afterEach, beforeEach, describe, expect, it } from 'vitest'
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
      expect(await stores.notify.clicks(one)).toEqual({ count: 11, firstAt: T + 5, copies: 2 })
      expect(await stores.notify.copyClicks(one, 'a')).toEqual({ count: 10, firstAt: T + 5 })
      expect(await stores.notify.copyClicks(one, 'b')).toEqual({ count: 1, firstAt: T + 7 })
      expect(await stores.notify.copyClicks(one, 'c')).toBeUndefined()
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
