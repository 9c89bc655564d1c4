/** What a subscriber prefers holds for the account, on all of its devices. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const quiet = { from: '22:00', to: '07:30', timeZone: 'Europe/Vienna' }
const code = (expected: string) => expect.objectContaining({ name: 'ProtocolError', code: expected })

test('quiet hours are set by one device, seen by the others, kept by an update, and removed', async () => {
  const domain = 'preferences.test'
  const types = await world.app(domain, ['News', 'Alarms'])
  const owner = world.newOwner()
  const [phone, laptop] = [world.device(owner), world.device(owner)]
  await laptop.wallet.watch()
  const first = await phone.wallet.subscribe(domain)
  expect(Object.keys(first)).not.toContain('preferences')
  const seen = () => laptop.wallet.subscriptions()[0]
  const preferring = await phone.wallet.update(domain, types, { quiet })
  expect(preferring).toMatchObject({ topic: first.topic, scope: types, preferences: { quiet } })
  await eventually(() => expect(seen()?.preferences).toEqual({ quiet }))

  expect((await laptop.wallet.update(domain, types.slice(0, 1))).preferences).toEqual({ quiet })
  expect((await phone.wallet.subscribe(domain, types)).preferences).toEqual({ quiet })
  await eventually(() => expect(seen()).toMatchObject({ scope: types, preferences: { quiet } }))
  await phone.wallet.update(domain, types, null)
  await eventually(() => expect(Object.keys(seen() ?? {})).not.toContain('preferences'))
})

test('may come with the subscription', async () => {
  const domain = 'preferences-first.test'
  await world.app(domain)
  const { wallet } = world.device(world.newOwner())
  expect((await wallet.subscribe(domain, undefined, { quiet })).preferences).toEqual({ quiet })
})

test.each([
  { ...quiet, timeZone: 'Europe/Nowhere' },
  { ...quiet, timeZone: 'x'.repeat(65) },
  { ...quiet, from: '24:00' },
  { ...quiet, to: '7:00' },
])('%j are refused', async (wrong) => {
  const domain = 'preferences-wrong.test'
  const types = await world.app(domain)
  const { wallet } = world.device(world.newOwner())
  await wallet.subscribe(domain)
  await expect(wallet.update(domain, types, { quiet: wrong })).rejects.toEqual(code('bad_params'))
  expect(Object.keys(wallet.subscriptions()[0] ?? {})).not.toContain('preferences')
})
