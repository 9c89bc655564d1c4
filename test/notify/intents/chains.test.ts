/** One address on several chains is one person: one subscription, and everybody is told of it under the name they use. */
import { beforeEach, expect, it } from 'vitest'
import { didPkh } from '../../../src/protocol/did.ts'
import type { Owner } from '../../support/owner.ts'
import {
  type App,
  type DevicesWorld,
  NEWS,
  OFFERS,
  startDevices,
  viewIn,
} from '../../support/world/notify-devices.ts'
import type { Online } from '../support/online.ts'

let town: DevicesWorld
let app: App
let owner: Owner
/** Of the same address: on mainnet, on Polygon, and in lower case. */
let phone: Online
let laptop: Online
let tablet: Online
beforeEach(async () => {
  town = await startDevices()
  app = await town.app('app.example')
  owner = town.newOwner()
  phone = await town.device(owner, { account: owner.on(1) })
  laptop = await town.device(owner, { account: owner.on(137) })
  tablet = await town.device(owner, { account: owner.on(10).toLowerCase() })
  return () => town[Symbol.asyncDispose]()
})

it('notify: an account is found under every chain, gets it once, and is named as it subscribed', async () => {
  const { messages } = await town.subscribe(phone, app)
  const forms = [owner.on(137), owner.on(10).toLowerCase(), owner.on(1)]
  const { sent, failed, not_found } = await app.notify(forms)
  expect([sent.sort(), failed, not_found]).toEqual([forms.sort(), [], []])
  expect(await app.notify([owner.on(42161)], { title: 'Again' })).toMatchObject({ sent: [owner.on(42161)] })
  const got = await messages()
  expect(got).toMatchObject([{ msg: { title: 'Hello' } }, { msg: { title: 'Again' } }])
  for (const { sub } of got) expect(sub).toBe(didPkh(phone.device.account))
})

it('subscribe: from another chain it is the same subscription, and both forms find it', async () => {
  const first = await town.subscribe(phone, app, [NEWS])
  const second = await town.subscribe(laptop, app, [OFFERS])
  expect(second.own).toEqual({ ...first.own, account: laptop.device.account, scope: [OFFERS] })
  expect((await app.http('GET', '/:projectId/subscribers')).body).toEqual([laptop.device.account])
  const accounts = [phone, laptop, tablet].map(({ device }) => device.account)
  const { body } = await app.http('POST', '/v1/:projectId/subscribers', { accounts })
  expect(body).toEqual(Object.fromEntries(accounts.map((each) => [each, { notification_types: [OFFERS] }])))
})

it('watch: each device is answered with the account as it writes it', async () => {
  await town.subscribe(phone, app)
  for (const device of [phone, laptop, tablet]) {
    const sent = device.device.watch(town.address)
    const claims = await device.ask(sent)
    expect(claims.sub).toBe(didPkh(device.device.account))
    expect(viewIn(claims)).toMatchObject([{ appDomain: app.domain, account: device.device.account }])
  }
})

it('update: what one chain changes, watchers on the others hear under their own name', async () => {
  const { key } = await town.subscribe(phone, app, [NEWS])
  const onPhone = await town.watch(phone)
  const onTablet = await town.watch(tablet)
  const claims = await laptop.ask(laptop.device.ask(4008, app, key, { scp: OFFERS }))
  expect(claims.sub).toBe(didPkh(laptop.device.account))
  expect(viewIn(claims)).toMatchObject([{ account: laptop.device.account, scope: [OFFERS] }])
  for (const [device, watcher] of [
    [phone, onPhone],
    [tablet, onTablet],
  ] as const) {
    const [change, ...more] = await watcher.changes()
    expect(more).toEqual([])
    expect(change?.sub).toBe(didPkh(device.device.account))
    expect(change && viewIn(change)).toMatchObject([{ account: device.device.account, scope: [OFFERS] }])
  }
})

it('delete: from one chain it is gone for all', async () => {
  const { key } = await town.subscribe(phone, app)
  const { changes } = await town.watch(phone)
  expect(viewIn(await tablet.ask(tablet.device.ask(4004, app, key)))).toEqual([])
  expect((await changes()).map(viewIn)).toEqual([[]])
  const forms = [owner.on(1), owner.on(137)]
  expect(await app.notify(forms)).toEqual({ sent: [], failed: [], not_found: forms })
  expect((await town.watch(laptop)).first).toEqual([])
})
