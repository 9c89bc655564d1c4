import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Pushed } from '../../src/notify/store/pushes.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { notification } from './notify-samples.ts'

export const notifyPushesContract = (engine: Engine): void => {
  describe(`pushes of notifications in the notify store on ${engine.name}`, () => {
    let stores: TestStores
    // Redis takes back by its own clock what expired long ago.
    const now = Date.now()
    const one = notification('one', { createdAt: now, expiresAt: now + 3_600_000 })
    const pushed: Pushed = { state: 'pushed', provider: 'apns', at: now }
    const refused: Pushed = { state: 'refused', provider: 'fcm', at: now, reason: 'HTTP 400' }
    const store = () => stores.notify

    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('keeps what became of the push of an account; one that was handed over stays so', async () => {
      await store().notePush(one, 'a', refused)
      expect(await store().pushCounts(one)).toEqual({ pushed: 0, refused: 1 })
      await store().notePush(one, 'a', pushed)
      await store().notePush(one, 'a', refused)
      await store().notePush(one, 'b', refused)
      await stores.reopen()
      expect(await store().pushCounts(one)).toEqual({ pushed: 1, refused: 1 })
      const found = await store().pushesOf(one, ['a', 'b', 'nobody'])
      expect([...found]).toEqual([
        ['a', pushed],
        ['b', refused],
      ])
    })

    it('counts each account of a crowd once, however often it is told', async () => {
      const crowd = Array.from({ length: 60 }, (_, at) => `account ${at % 20}`)
      await Promise.all(crowd.map((account) => store().notePush(one, account, pushed)))
      expect(await store().pushCounts(one)).toEqual({ pushed: 20, refused: 0 })
    })

    it('forgets those of an account', async () => {
      const two = notification('two', { createdAt: now, expiresAt: now + 3_600_000 })
      const three = notification('three', { createdAt: now, expiresAt: now + 3_600_000 })
      await store().notePush(one, 'a', pushed)
      await store().notePush(one, 'b', pushed)
      await store().notePush(two, 'a', refused)
      for (const _ of [1, 2]) {
        await store().forgetPushes([one, two, three], 'a')
        expect(await store().pushesOf(one, ['a', 'b'])).toEqual(new Map([['b', pushed]]))
        expect(await store().pushesOf(two, ['a'])).toEqual(new Map())
        expect(await store().pushCounts(one)).toEqual({ pushed: 1, refused: 0 })
        expect(await store().pushCounts(two)).toEqual({ pushed: 0, refused: 0 })
      }
    })

    it('has nothing of another notification with the same id', async () => {
      await store().notePush(one, 'a', pushed)
      const later = { ...one, createdAt: now + 1 }
      expect(await store().pushCounts(later)).toEqual({ pushed: 0, refused: 0 })
      expect(await store().pushesOf(later, ['a'])).toEqual(new Map())
    })
  })
}
