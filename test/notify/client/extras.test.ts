/** Notifications with extras, from a dapp to wallets of this package. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inLanguage } from '../../../src/sdk/wallet.ts'
import { eventually } from '../../support/eventually.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const extras = {
  priority: 'urgent',
  image: 'https://app.test/wide.png',
  actions: [
    { id: 'see', title: 'See', url: 'https://app.test/see' },
    { id: 'yes', title: 'Yes', answer: true },
  ],
  tags: ['vote'],
  locales: { de: { title: 'Abstimmung', body: 'Wollen wir?' } },
} as const

describe('a notification with extras', () => {
  test('reaches the wallet whole, is whole in its history, and is shown to the dapp', async () => {
    const domain = 'extras.test'
    const [type = ''] = await world.app(domain)
    const dapp = world.dapp(domain)
    const owner = world.newOwner()
    const { wallet, received } = world.device(owner)
    await wallet.subscribe(domain)
    const notification = { type, title: 'A vote', body: 'Shall we?', ...extras }
    await dapp.notify(notification, [owner.account], { id: 'vote' })
    await dapp.notify({ type, title: 'Plain', body: 'Nothing more' }, [owner.account])
    await eventually(() => expect(received).toHaveLength(2))
    const [rich, plain] = received
    expect(rich).toMatchObject(notification)
    expect(inLanguage(rich ?? notification, 'de-AT')).toMatchObject({ title: 'Abstimmung', tags: ['vote'] })
    expect(Object.keys(plain ?? {}).sort()).toEqual(
      ['body', 'icon', 'id', 'isRead', 'sentAt', 'title', 'type', 'url'].sort(),
    )
    const { notifications } = await wallet.history(domain)
    expect(notifications).toEqual([plain, rich])
    expect((await dapp.notification('vote')).notification).toEqual({ ...notification, icon: null, url: null })
  })

  test('of a broadcast is the same', async () => {
    const domain = 'extras-broadcast.test'
    const [type = ''] = await world.app(domain)
    const owner = world.newOwner()
    const { wallet, received } = world.device(owner)
    await wallet.subscribe(domain)
    await world.dapp(domain).broadcast({ type, title: 'To all', body: 'Shall we?', ...extras })
    await eventually(() => expect(received).toHaveLength(1))
    expect(received[0]).toMatchObject({ title: 'To all', ...extras })
  })

  test('may be so large that a page of the history has fewer, and the pages together have all', async () => {
    const domain = 'extras-large.test'
    const [type = ''] = await world.app(domain)
    const owner = world.newOwner()
    const { wallet } = world.device(owner)
    await wallet.subscribe(domain)
    const texts = { title: 'ä'.repeat(64), body: 'ö'.repeat(255) }
    const locales = Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`de-x-l${at}`, texts]))
    const titles = Array.from({ length: 40 }, (_, at) => `Number ${at}`)
    for (const title of titles) {
      await world.dapp(domain).notify({ type, title, body: 'Large', locales }, [owner.account])
    }
    const found: string[] = []
    let pages = 0
    for (let after: string | undefined; ; pages++) {
      const page = await wallet.history(domain, { limit: 50, ...(after !== undefined && { after }) })
      found.push(...page.notifications.map(({ title }) => title))
      expect(page.hasMoreUnread).toBe(page.hasMore)
      after = page.notifications.at(-1)?.id
      if (!page.hasMore) break
    }
    expect(pages).toBeGreaterThan(0)
    expect(found).toEqual(titles.reverse())
  })
})
