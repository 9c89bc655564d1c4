import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ActionAnswer } from '../../src/notify/store/action-answers.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { notification } from './notify-samples.ts'

export const notifyAnswersContract = (engine: Engine): void => {
  describe(`answers to notifications in the notify store on ${engine.name}`, () => {
    let stores: TestStores
    // Redis takes back by its own clock what expired long ago.
    const now = Date.now()
    const one = notification('one', { createdAt: now, expiresAt: now + 3_600_000 })
    const other = notification('other', { createdAt: now, expiresAt: now + 3_600_000 })
    const answer = (action: string, nth = 0): ActionAnswer => ({
      ...{ action, at: now + nth, jwt: `${action}.${nth}`, cacao: '{"h":"ä"}', subscriptionId: `s${nth}` },
    })
    const store = () => stores.notify
    const answersOfAccount = async (accountKey: string) => {
      const all: [string, string][] = []
      for await (const { notificationId, answer } of store().accountAnswers(accountKey, now)) {
        all.push([notificationId, answer.action])
      }
      return all.sort()
    }

    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('keep the first of an account, whole, over a restart', async () => {
      expect(await store().keepAnswer(one, 'a', answer('yes'))).toEqual(answer('yes'))
      expect(await store().keepAnswer(one, 'a', answer('no', 1))).toEqual(answer('yes'))
      await store().keepAnswer(one, 'b', answer('no', 2))
      await stores.reopen()
      expect(await store().answerCounts(one, ['yes', 'no', 'perhaps'])).toEqual({ yes: 1, no: 1, perhaps: 0 })
      expect(await store().answersBy('b', [one, other, one])).toEqual([
        answer('no', 2),
        undefined,
        answer('no', 2),
      ])
      expect(await store().answersBy('nobody', [])).toEqual([])
      expect([...(await store().answersOf(one, ['a', 'nobody', 'b']))]).toEqual([
        ['a', answer('yes')],
        ['b', answer('no', 2)],
      ])
    })

    it('are one for each account of a crowd, whatever it says at once', async () => {
      const crowd = Array.from({ length: 60 }, (_, at) => at)
      const kept = await Promise.all(
        crowd.map((at) => store().keepAnswer(one, `account ${at % 20}`, answer(at % 3 ? 'yes' : 'no', at))),
      )
      for (const at of crowd) expect(kept[at]).toEqual(kept[at % 20])
      const counts = await store().answerCounts(one, ['yes', 'no'])
      expect((counts.yes ?? 0) + (counts.no ?? 0)).toBe(20)
    })

    it('are of one notification, and not of another one with the same id', async () => {
      await store().keepAnswer(one, 'a', answer('yes'))
      const later = { ...one, createdAt: now + 1 }
      expect(await store().answerCounts(later, ['yes'])).toEqual({ yes: 0 })
      expect(await store().answersOf(later, ['a'])).toEqual(new Map())
    })

    it('are found by account, and forgotten with it', async () => {
      for (const each of [one, other]) await store().keepAnswer(each, 'a', answer('yes'))
      await store().keepAnswer(one, 'b', answer('yes', 1))
      expect(await answersOfAccount('a')).toEqual([
        ['one', 'yes'],
        ['other', 'yes'],
      ])
      await store().forgetAnswers('a')
      await store().forgetAnswers('a')
      expect(await answersOfAccount('a')).toEqual([])
      expect(await store().answerCounts(one, ['yes'])).toEqual({ yes: 1 })
      expect([...(await store().answersOf(one, ['a', 'b'])).keys()]).toEqual(['b'])
      expect(await store().keepAnswer(one, 'a', answer('no', 3))).toEqual(answer('no', 3))
    })

    it('of an account may be more than a page', async () => {
      const many = Array.from({ length: 150 }, (_, at) =>
        notification(`n${at}`, { createdAt: now, expiresAt: now + 3_600_000 }),
      )
      await Promise.all(many.map((each) => store().keepAnswer(each, 'a', answer('yes'))))
      expect(await answersOfAccount('a')).toHaveLength(150)
      await store().forgetAnswers('a')
      expect(await answersOfAccount('a')).toEqual([])
    })
  })
}
