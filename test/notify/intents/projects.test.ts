/** Projects beside each other: who holds a domain, and one account that is subscribed in both. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type App, type DevicesWorld, startDevices } from '../../support/world/notify-devices.ts'

let town: DevicesWorld
let app: App
let shop: App
beforeAll(async () => {
  town = await startDevices()
  app = await town.app('app.example')
  shop = await town.app('shop.example', 'shop')
})
afterAll(() => town?.[Symbol.asyncDispose]())

it('subscribe-topic answers the same keys each time, and 409 to the other project', async () => {
  const body = { appDomain: 'new.example' }
  const first = await app.http('POST', '/:projectId/subscribe-topic', body)
  expect(first).toMatchObject({
    status: 200,
    body: {
      authenticationKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      subscribeKey: expect.stringMatching(/^[0-9a-f]{64}$/),
    },
  })
  for (let at = 0; at < 3; at++) {
    expect((await app.http('POST', '/:projectId/subscribe-topic', body)).body).toEqual(first.body)
    expect((await shop.http('POST', '/:projectId/subscribe-topic', body)).status).toBe(409)
  }
  // Of all who ask at the same time for a domain that nobody had, one project gets it.
  const race = { appDomain: 'race.example' }
  const answers = await Promise.all(
    [app, shop, app, shop, app, shop].map((project) =>
      project.http('POST', '/:projectId/subscribe-topic', race),
    ),
  )
  const won = answers.filter(({ status }) => status === 200)
  expect(new Set(won.map(({ body: keys }) => JSON.stringify(keys))).size).toBe(1)
  expect([won.length, answers.filter(({ status }) => status === 409).length]).toEqual([3, 3])
})

it('one account in two projects: each knows, reaches and marks its own subscribers only', async () => {
  const owner = town.newOwner()
  const { account } = owner
  const device = await town.device(owner)
  const inApp = await town.subscribe(device, app)
  expect(await shop.notify([account])).toEqual({ sent: [], failed: [], not_found: [account] })
  expect((await shop.http('GET', '/:projectId/subscribers')).body).toEqual([])

  const inShop = await town.subscribe(device, shop)
  expect(inShop.own.symKey).not.toBe(inApp.own.symKey)
  for (const project of [app, shop]) {
    expect((await project.http('GET', '/:projectId/subscribers')).body).toEqual([account])
    // The same id in two projects is two notifications.
    for (let at = 0; at < 2; at++) {
      expect(await project.notify([account], { id: 'order-1', title: project.domain })).toMatchObject({
        sent: [account],
      })
    }
  }
  expect(await inApp.messages()).toMatchObject([{ iss: app.did, msg: { title: 'app.example' } }])
  expect(await inShop.messages()).toMatchObject([{ iss: shop.did, msg: { title: 'shop.example' } }])

  const unread = async () =>
    Object.fromEntries((await town.look(owner)).map((each) => [each.appDomain, each.unreadNotificationCount]))
  expect(await unread()).toEqual({ 'app.example': 1, 'shop.example': 1 })
  expect((await shop.http('POST', '/v1/:projectId/mark-all-as-read')).status).toBe(204)
  expect(await unread()).toEqual({ 'app.example': 1, 'shop.example': 0 })

  await device.ask(device.device.ask(4004, shop, inShop.key))
  expect(await shop.notify([account])).toMatchObject({ not_found: [account] })
  expect(await app.notify([account])).toMatchObject({ sent: [account] })
  // One's secret opens nothing of the other's.
  const { status } = await town.world.http('GET', `/${shop.projectId}/subscribers`, { token: app.secret })
  expect(status).toBe(401)
})
