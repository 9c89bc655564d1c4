/** The welcome, which everybody gets once, and links, of which everybody has their own. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import type { Claims } from '../../../src/protocol/jwt.ts'
import {
  type App,
  type DevicesWorld,
  NEWS,
  OFFERS,
  startDevices,
} from '../../support/world/notify-devices.ts'

let town: DevicesWorld
let app: App
beforeAll(async () => {
  town = await startDevices()
  app = await town.app('app.example')
})
afterAll(() => town?.[Symbol.asyncDispose]())

const message = z.object({ id: z.string(), title: z.string(), url: z.string() })
const shown = (all: readonly Claims[]) => all.map(({ msg }) => message.parse(msg))

it('a welcome is sent once for each new subscription, whoever of the account asks, and how often', async () => {
  const welcome = { enabled: true, type: NEWS, title: 'Welcome', body: 'Good to see you', url: '/start' }
  const path = '/v0/:projectId/welcome-notification'
  expect((await app.http('GET', path)).body).toBeNull()
  const early = await town.subscribe(await town.device(town.newOwner()), app)
  expect((await app.http('POST', path, welcome)).status).toBe(204)
  expect((await app.http('GET', path)).body).toEqual(welcome)

  const owner = town.newOwner()
  const devices = [
    await town.device(owner),
    await town.device(owner, { account: owner.on(137) }),
    await town.device(owner, { mjv: '0' }),
  ]
  const [first] = await Promise.all(devices.map((device) => town.subscribe(device, app)))
  const [phone] = devices
  if (!first || !phone) throw new Error('there are three')
  await town.subscribe(phone, app, [NEWS])
  await phone.ask(phone.device.ask(4008, app, first.key, { scp: `${NEWS} ${OFFERS}` }))
  expect(shown(await first.messages())).toMatchObject([{ title: 'Welcome', url: '/start' }])
  expect((await town.look(owner)).map((each) => each.unreadNotificationCount)).toEqual([1])

  // Who leaves and comes back is new; who does not want the type is not greeted; who was there before is not new.
  await phone.ask(phone.device.ask(4004, app, first.key))
  const back = await town.subscribe(phone, app)
  expect(shown(await back.messages())).toMatchObject([{ title: 'Welcome' }])
  const reserved = await town.subscribe(await town.device(town.newOwner()), app, [OFFERS])
  expect([await reserved.messages(), await early.messages()]).toEqual([[], []])
  expect((await app.http('POST', path, { ...welcome, enabled: false })).status).toBe(204)
  expect(await (await town.subscribe(await town.device(town.newOwner()), app)).messages()).toEqual([])
})

it('a link is of one subscriber, leads to the url, and is counted', async () => {
  const shop = await town.app('shop.example', 'shop')
  expect((await shop.http('PUT', '/v1/:projectId/apps/shop.example', { links: true })).status).toBe(200)
  const owners = [town.newOwner(), town.newOwner()]
  const [one, two] = await Promise.all(
    owners.map(async (owner) => town.subscribe(await town.device(owner), shop)),
  )
  const [mine = '', theirs = ''] = owners.map(({ account }) => account)
  const url = 'https://shop.example/sale?of=today'
  const body = {
    notification_id: 'sale',
    notification: { type: NEWS, title: 'Sale', body: 'Today', url },
    accounts: [mine, theirs],
  }
  expect((await shop.http('POST', '/:projectId/notify', body)).status).toBe(200)
  const linkOf = async (each: typeof one) => shown((await each?.messages()) ?? []).map((got) => got.url)
  const [link = '', ...more] = await linkOf(one)
  expect(more).toEqual([])
  const [other] = await linkOf(two)
  expect(new URL(link).pathname).toMatch(/^\/v1\/notification\/[0-9a-f-]{36}$/)
  expect(other).not.toBe(link)
  for (let at = 0; at < 3; at++) {
    const { status, headers } = await town.world.http('GET', new URL(link).pathname)
    expect([status, headers.get('location')]).toEqual([307, url])
  }
  const clicks = async (account: string) =>
    (await shop.http('GET', `/v1/:projectId/notifications/sale/links?account=${encodeURIComponent(account)}`))
      .body
  expect(await clicks(mine)).toMatchObject({ clicks: 3, accounts: 1, account: { clicks: 3 } })
  expect(await clicks(theirs)).toMatchObject({ clicks: 3, accounts: 1, account: { clicks: 0 } })
  const nobody = '/v1/notification/00000000-0000-8000-8000-000000000000'
  expect((await town.world.http('GET', nobody)).status).toBe(404)
})
