/** What a project sets for itself, and lists item by item, over the package against a real server. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { verifyWebhook } from '../../../src/sdk/dapp.ts'
import { eventually } from '../../support/eventually.ts'
import { startReceiver } from '../../support/webhook-receiver.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld({
    allowPrivateAddresses: { keys: [], webhooks: ['127.0.0.1'], did: [], push: [] },
  })
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const code = (expected: string) => expect.objectContaining({ name: 'ProtocolError', code: expected })
const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = []
  for await (const one of items) found.push(one)
  return found
}

test('webhooks are added, listed, changed, told of, and removed', async () => {
  const domain = 'hooks.test'
  await world.app(domain)
  const { webhooks } = world.dapp(domain)
  await using receiver = await startReceiver()
  expect(await webhooks.list()).toEqual([])
  const { id, secret } = await webhooks.add({ url: receiver.url, events: ['subscribed'] })
  await eventually(async () =>
    expect(await webhooks.list()).toEqual([
      {
        ...{ id, url: receiver.url, events: ['subscribed'], state: 'enabled', reason: null },
        createdAt: expect.stringMatching(/^\d{4}-/),
      },
    ]),
  )
  await world.device(world.newOwner()).wallet.subscribe(domain)
  await eventually(() => expect(receiver.calls).toHaveLength(1))
  const [call] = receiver.calls
  if (!call) throw new Error('It was not called')
  const headers = {
    'webhook-id': call.id,
    'webhook-timestamp': String(call.timestamp),
    'webhook-signature': call.signatures.map((one) => `v1,${one}`).join(' '),
  }
  expect((await verifyWebhook(call.body, headers, secret)).event.type).toBe('subscribed')

  expect(await webhooks.change(id, { events: ['read', 'answered'] })).toBeUndefined()
  const rotated = await webhooks.change(id, { rotateSecret: true })
  expect(rotated).toMatch(/^whsec_/)
  expect(rotated).not.toBe(secret)
  expect(await webhooks.list()).toMatchObject([{ events: ['read', 'answered'] }])
  expect(await all(webhooks.eachDeadLetter(id))).toEqual([])
  expect(await webhooks.replay(id)).toBe(0)
  await expect(webhooks.replay(id, 'nobody')).rejects.toEqual(code('not_found'))
  await expect(webhooks.add({ url: 'http://a.test/', events: ['read'] })).rejects.toEqual(code('bad_params'))
  await webhooks.remove(id)
  expect(await webhooks.list()).toEqual([])
  await expect(webhooks.remove(id)).rejects.toEqual(code('not_found'))
})

test('a new subscriber is welcomed as was set', async () => {
  const domain = 'welcome.test'
  const [type = ''] = await world.app(domain)
  const dapp = world.dapp(domain)
  expect(await dapp.welcome()).toBeNull()
  const welcome = { enabled: true, type, title: 'Welcome', body: 'Good to see you' }
  await dapp.setWelcome(welcome)
  expect(await dapp.welcome()).toEqual({ ...welcome, url: null })
  const { wallet, titles } = world.device(world.newOwner())
  await wallet.subscribe(domain)
  await eventually(() => expect(titles()).toEqual(['Welcome']))
  await expect(dapp.setWelcome({ ...welcome, type: 'nothing' })).rejects.toEqual(code('bad_params'))
})

test('settings are read and set', async () => {
  const dapp = world.dapp()
  expect(await dapp.settings()).toEqual({ retentionDays: 30 })
  expect(await dapp.setSettings({ retentionDays: 90 })).toEqual({ retentionDays: 90 })
  expect(await dapp.settings()).toEqual({ retentionDays: 90 })
  await expect(dapp.setSettings({ retentionDays: 0 })).rejects.toEqual(code('bad_params'))
})

test('notifications and receipts are listed one after the other, over all pages', async () => {
  const domain = 'each.test'
  const [type = ''] = await world.app(domain)
  const dapp = world.dapp(domain)
  const owners = [world.newOwner(), world.newOwner(), world.newOwner()]
  for (const owner of owners) await world.device(owner).wallet.subscribe(domain)
  const accounts = owners.map(({ account }) => account)
  const send = (title: string) => dapp.notify({ type, title, body: 'x' }, accounts)
  const ids: string[] = []
  for (const title of ['1', '2', '3']) ids.unshift((await send(title)).id)
  const listed = await all(dapp.eachNotification({ limit: 2 }))
  expect(listed.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
  const [id = ''] = ids
  const receipts = await all(dapp.eachReceipt(id, { limit: 2 }))
  expect(receipts.map(({ account }) => account).toSorted()).toEqual(accounts.toSorted())
  expect(await all(dapp.eachReceipt(id, { state: 'failed' }))).toEqual([])
  await expect(all(dapp.eachReceipt('nothing'))).rejects.toEqual(code('not_found'))
  // Nothing more is read than is wanted.
  for await (const one of dapp.eachNotification({ limit: 1 })) {
    expect(ids).toContain(one.id)
    break
  }
  const broadcast = () => dapp.broadcast({ type, title: 'To all', body: 'x' }, { id: 'to-all' })
  expect((await broadcast()).id).toBe('to-all')
  expect((await broadcast()).id).toBe('to-all')
  await eventually(async () => expect((await dapp.broadcastProgress('to-all')).total).toBe(3))
})
