import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { newDevice } from '../support/story.ts'
import { startWorld } from '../support/world.ts'

it('a dapp sees its notification go out, arrive at a wallet, and be read', async () => {
  await using world = await startWorld()
  const app = await world.addApp('app.example.com', { types: [{ name: 'News' }] })
  const type = app.types[0]?.id ?? ''
  const owner = newOwner()
  const ask = async (method: string, path: string, body?: unknown) =>
    (await world.http(method, `/v1/${app.projectId}${path}`, { token: app.secret ?? '', body })).body
  const receipts = async () => Object(await ask('GET', '/notifications/n/receipts')).receipts
  const state = async (is: string) =>
    eventually(async () => expect(await receipts()).toMatchObject([{ account: owner.account, state: is }]))

  const first = newDevice(world, owner)
  await first.subscribe('app.example.com', [type])
  const kept = first.export()
  await first[Symbol.asyncDispose]()
  const notification = { type, title: 'Hello', body: 'from the tower' }
  await ask('POST', '/notify', [{ notification_id: 'n', notification, accounts: [owner.account] }])
  await state('published')

  const again = newDevice(world, owner, { state: kept })
  await state('delivered')
  expect(await ask('GET', '/notifications/n')).toMatchObject({
    status: 'done',
    counts: { queued: 0, published: 0, delivered: 1, read: 0, failed: 0 },
  })
  await again.markRead('app.example.com', 'all')
  await state('read')
  await again[Symbol.asyncDispose]()
})
