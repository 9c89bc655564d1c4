import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Webhook } from '../../src/notify/store/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { T } from './notify-samples.ts'

const webhook = (id: string): Webhook => ({
  id,
  url: `https://${id}.example/hook`,
  events: ['subscribed', 'read'],
  secret: 'sealed secret',
  state: 'enabled',
  reason: '',
  createdAt: T,
})

export const notifyWebhooksContract = (engine: Engine): void => {
  describe(`webhooks of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('keeps the list of each project by itself, over a restart', async () => {
      const empty = { version: 0, webhooks: [] }
      expect(await stores.notify.webhooks('a')).toEqual(empty)
      const webhooks = [webhook('one'), { ...webhook('two'), previous: { secret: 'old', until: T } }]
      expect(await stores.notify.commitWebhooks({ projectId: 'a', expectedVersion: 0, webhooks })).toBe(true)
      await stores.reopen()
      expect(await stores.notify.webhooks('a')).toEqual({ version: 1, webhooks })
      expect(await stores.notify.webhooks('b')).toEqual(empty)
    })

    it('lets exactly one of many change what they all have read, the first time and later', async () => {
      for (const expectedVersion of [0, 1]) {
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, at) =>
            stores.notify.commitWebhooks({
              projectId: 'a',
              expectedVersion,
              webhooks: [webhook(`${expectedVersion}-${at}`)],
            }),
          ),
        )
        expect(answers.filter(Boolean)).toHaveLength(1)
        const { version, webhooks } = await stores.notify.webhooks('a')
        expect(version).toBe(expectedVersion + 1)
        expect(webhooks[0]?.id).toBe(`${expectedVersion}-${answers.indexOf(true)}`)
      }
    })
  })
}
