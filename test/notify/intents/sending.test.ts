/** What is sent, to whom, and how often: types that are none, and ids that come again. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  type App,
  type DevicesWorld,
  NEWS,
  OFFERS,
  startDevices,
  viewIn,
} from '../../support/world/notify-devices.ts'

let town: DevicesWorld
let app: App
beforeAll(async () => {
  town = await startDevices()
  app = await town.app('app.example')
})
afterAll(() => town?.[Symbol.asyncDispose]())

const WRONG_TYPE = 'Client is not subscribed to this notification type'

it('types that the app does not declare are left out of a scope, by subscribe and by update', async () => {
  const owner = town.newOwner()
  const { account } = owner
  const device = await town.device(owner)
  const { own, key, messages } = await town.subscribe(device, app, [
    'unknown',
    NEWS,
    'eip155',
    NEWS,
    'constructor',
  ])
  expect(own.scope).toEqual([NEWS])
  expect(await app.notify([account])).toMatchObject({ sent: [account] })
  expect(await app.notify([account], { type: 'unknown' })).toMatchObject({ sent: [], failed: [{ account }] })
  const none = viewIn(await device.ask(device.device.ask(4008, app, key, { scp: 'unknown' })))
  expect(none).toMatchObject([{ scope: [] }])
  expect(await app.notify([account])).toMatchObject({ failed: [{ account, reason: WRONG_TYPE }] })
  const some = viewIn(await device.ask(device.device.ask(4008, app, key, { scp: ` ${OFFERS}  unknown ` })))
  expect(some).toMatchObject([{ scope: [OFFERS] }])
  expect(await app.notify([account])).toMatchObject({ failed: [{ account, reason: WRONG_TYPE }] })
  expect(await app.notify([account], { type: OFFERS })).toMatchObject({ sent: [account] })
  expect(await messages()).toMatchObject([{ msg: { type: NEWS } }, { msg: { type: OFFERS } }])
})

it('a notification_id is delivered once, however often and in which form it is sent', async () => {
  const [owner, friend] = [town.newOwner(), town.newOwner()]
  const mine = await town.subscribe(await town.device(owner), app)
  const theirs = await town.subscribe(await town.device(friend), app)
  const id = 'once'
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => app.notify([owner.account], { id, title: 'First' })),
  )
  answers.push(await app.notify([owner.account], { id, title: 'Second' }))
  for (const answer of answers) expect(answer).toEqual({ sent: [owner.account], failed: [], not_found: [] })
  // In the newer form, on another chain, twice in one call, and with somebody who has not got it yet.
  const message = {
    notification_id: id,
    notification: { type: NEWS, title: 'Third', body: 'World' },
    accounts: [owner.on(10), friend.account],
  }
  const { status, body } = await app.http('POST', '/v1/:projectId/notify', [message, message])
  expect([status, body]).toEqual([
    200,
    { sent: expect.arrayContaining([owner.on(10), friend.account]), failed: [], not_found: [] },
  ])
  expect(await mine.messages()).toMatchObject([{ msg: { title: 'First' } }])
  expect(await theirs.messages()).toMatchObject([{ msg: { title: 'First' } }])
  await app.notify([owner.account], { id: 'another', title: 'Another' })
  const [one, two, ...more] = await mine.messages()
  expect([one, two, ...more]).toMatchObject([{ msg: { title: 'First' } }, { msg: { title: 'Another' } }])
})
