import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDapp, type Subscriber } from '../../../src/sdk/dapp.ts'
import { eventually } from '../../support/eventually.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const code = (expected: string) => expect.objectContaining({ name: 'ProtocolError', code: expected })

test('enrolling again answers the same keys; the domain of another project is a conflict', async () => {
  const dapp = world.dapp()
  const keys = await dapp.enrol('shop.test')
  expect(keys).toEqual({
    authenticationKey: expect.stringMatching(/^[0-9a-f]{64}$/),
    subscribeKey: expect.stringMatching(/^[0-9a-f]{64}$/),
  })
  expect(await dapp.enrol('shop.test')).toEqual(keys)
})

test('a wrong secret, a wrong project and a wrong notification are told apart', async () => {
  const { id, secret } = world.project
  const wrongSecret = createDapp({ url: world.url, projectId: id, secret: 'wrong' })
  await expect(wrongSecret.subscribers()).rejects.toEqual(code('unauthenticated'))
  const [type = ''] = await world.app('wrong.test')
  const dapp = createDapp({ url: `${world.url}/`, projectId: id, secret, domain: 'wrong.test' })
  const { account } = world.newOwner()
  const untitled = dapp.notify({ type, title: '', body: 'x' }, [account])
  await expect(untitled).rejects.toEqual(code('bad_params'))
  await expect(untitled).rejects.toMatchObject({ field: '[0].notification.title' })
  await expect(dapp.notify({ type, title: 'x', body: 'x' }, ['nobody'])).rejects.toEqual(code('bad_params'))
  const nowhere = createDapp({ url: 'http://127.0.0.1:9', projectId: id, secret })
  await expect(nowhere.subscribers()).rejects.toEqual(code('unavailable'))
})

test('more accounts than one call may name are sent to in several calls', async () => {
  const [type = ''] = await world.app('many.test')
  const dapp = world.dapp('many.test')
  const owner = world.newOwner()
  const { wallet } = world.device(owner)
  await wallet.subscribe('many.test')
  const floodGuard = Array.from({ length: 501 }, () => world.newOwner().account)
  const { sent, failed, notFound } = await dapp.notify({ type, title: 'x', body: 'x' }, [
    ...floodGuard,
    owner.account,
  ])
  expect(sent).toEqual([owner.account])
  expect(failed).toEqual([])
  expect(notFound.toSorted()).toEqual(floodGuard.toSorted())
  const types = await dapp.typesOf([...floodGuard.slice(0, 150), owner.account])
  expect([...types]).toEqual([[owner.account, [type]]])
})

test('subscribers come a page at a time, with the types that they want', async () => {
  const [news = '', alarms = ''] = await world.app('paged.test', ['News', 'Alarms'])
  const dapp = world.dapp('paged.test')
  const wants = [[news], [news, alarms], [alarms]]
  const accounts = await Promise.all(
    wants.map(async (types) => {
      const owner = world.newOwner()
      await world.device(owner).wallet.subscribe('paged.test', types)
      return owner.account
    }),
  )
  const { subscribers, next } = await dapp.subscriberPage({ limit: 2 })
  expect(subscribers).toHaveLength(2)
  expect(next).toEqual(expect.any(String))
  const all: Subscriber[] = []
  for await (const one of dapp.eachSubscriber({ limit: 1 })) all.push(one)
  expect(all.map(({ account }) => account).toSorted()).toEqual(accounts.toSorted())
  for (const [at, account] of accounts.entries()) {
    expect(all.find((one) => one.account === account)).toEqual({
      ...{ account, domain: 'paged.test', types: wants[at] },
      subscribedAt: expect.stringMatching(/Z$/),
      expiresAt: expect.stringMatching(/Z$/),
    })
  }
})

test('the same id again sends to nobody twice; a type that is not wanted fails', async () => {
  const [news = '', alarms = ''] = await world.app('ids.test', ['News', 'Alarms'])
  const dapp = world.dapp('ids.test')
  const owner = world.newOwner()
  const { wallet, titles } = world.device(owner)
  await wallet.subscribe('ids.test', [news])
  const send = (id: string) => dapp.notify({ type: news, title: id, body: 'x' }, [owner.account], { id })
  expect(await send('a')).toEqual(await send('a'))
  await send('b')
  await eventually(() => expect(titles()).toEqual(['a', 'b']))
  const unwanted = await dapp.notify({ type: alarms, title: 'x', body: 'x' }, [owner.account])
  expect(unwanted).toMatchObject({
    sent: [],
    failed: [{ account: owner.account, reason: expect.any(String) }],
  })
  await dapp.markAllAsRead()
  const { notifications } = await wallet.history('ids.test')
  expect(notifications.map(({ isRead }) => isRead)).toEqual([true, true])
})
