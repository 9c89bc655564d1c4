/** What a subscriber prefers holds for the account, on all of its devices. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accountKey } from '../../../src/protocol/caip.ts'
import type { ReceivedDigest } from '../../../src/sdk/wallet.ts'
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

test('a digest is an event of its own, once, and neither a notification nor unread', async () => {
  const domain = 'digest.test'
  const [type = ''] = await world.app(domain)
  const owner = world.newOwner()
  const { wallet, titles } = world.device(owner)
  const told: ReceivedDigest[] = []
  wallet.on('digest', (digest) => void told.push(digest))
  const { scope } = await wallet.subscribe(domain, undefined, { quiet })
  const { preferences } = await wallet.update(domain, scope, { digest: 'hourly' })
  expect(preferences).toEqual({ digest: 'hourly' })
  await world.dapp(domain).notify({ type, title: 'One', body: 'Body' }, [owner.account])
  await eventually(() => expect(titles()).toEqual(['One']))

  // As if the full hour had just come, twice.
  const queue = 'notify digests'
  const hour = 3_600_000
  const slot = Math.floor(Date.now() / hour) * hour
  const group = accountKey(owner.account)
  const { jobQueue } = world.stores
  const [job] = await jobQueue.list(queue, { group, dead: false, limit: 2 })
  if (!job) throw new Error('the next slot is planned')
  const body = { ...Object(job.body), from: slot - 1, slot, since: slot - hour }
  for (const id of ['first', 'second']) {
    await jobQueue.add([{ ...job, id, at: slot, body }])
    await eventually(async () => expect(await jobQueue.job(queue, id)).toBeUndefined())
    await eventually(async () => expect(await world.stores.notify.outboxSize()).toBe(0))
  }
  await eventually(() => expect(told).toHaveLength(1))
  const { notifications } = await wallet.history(domain)
  expect(notifications.map(({ title }) => title)).toEqual(['One'])
  expect(told).toEqual([
    {
      ...{ domain, account: owner.account },
      digest: {
        ...{ id: expect.any(String), sentAt: slot, title: domain, body: '1 new\nOne' },
        ...{ count: 1, ids: notifications.map(({ id }) => id) },
      },
    },
  ])
  expect(titles()).toEqual(['One'])
  expect(wallet.subscriptions()[0]?.unread).toBe(1)
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
  const elsewhere = { digest: 'daily', timeZone: 'Europe/Nowhere' } as const
  await expect(wallet.update(domain, types, elsewhere)).rejects.toEqual(code('bad_params'))
  expect(Object.keys(wallet.subscriptions()[0] ?? {})).not.toContain('preferences')
})
