import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { NOTIFY_SUBSCRIPTIONS, openSync, openTypedStore } from '../../../src/sdk/sync.ts'
import type { Sync } from '../../../src/sync/client.ts'
import { memoryStorage } from '../../../src/sync/storage.ts'
import { eventually } from '../../support/eventually.ts'
import type { Owner } from '../../support/owner.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
let open: Sync[] = []
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(() => world[Symbol.asyncDispose]())
afterEach(async () => {
  for (const sync of open) await sync[Symbol.asyncDispose]()
  open = []
})

/** A device that shares its subscriptions with the account's others. */
const device = async (owner: Owner, options: Parameters<ClientWorld['device']>[1] = {}) => {
  const sync = await openSync({ url: world.url, storage: memoryStorage() })
  open.push(sync)
  const { account } = owner
  await sync.register({ account, signature: owner.sign(await sync.getMessage({ account })) })
  const sharedSubscriptions = await openTypedStore(sync, NOTIFY_SUBSCRIPTIONS, { account })
  await sync.caughtUp()
  return { ...world.device(owner, { sharedSubscriptions, ...options }), sharedSubscriptions }
}

const domains = ({ wallet }: { wallet: ReturnType<ClientWorld['device']>['wallet'] }) =>
  wallet
    .subscriptions()
    .map(({ domain }) => domain)
    .sort()

it('a device has the subscriptions of another one, and hears their messages, without asking the server', async () => {
  const owner = world.newOwner()
  const [news = ''] = await world.app('shared.example')
  const first = await device(owner)
  const second = await device(owner)
  await first.wallet.subscribe('shared.example', [news])
  await eventually(() => expect(domains(second)).toEqual(['shared.example']))
  expect(second.signed).toEqual([])
  const late = await device(owner)
  await eventually(() => expect(domains(late)).toEqual(['shared.example']))
  await world.dapp('shared.example').notify({ type: news, title: 'Hello', body: 'all' }, [owner.account])
  for (const { titles } of [first, second, late]) await eventually(() => expect(titles()).toEqual(['Hello']))

  await first.wallet.delete('shared.example')
  await eventually(() => {
    for (const one of [second, late]) expect(domains(one)).toEqual([])
  })
  // Another subscription of the same app, with another key.
  await first.wallet.subscribe('shared.example', [news])
  await eventually(() => {
    for (const one of [second, late])
      expect(one.wallet.subscriptions()[0]?.topic).toBe(first.wallet.subscriptions()[0]?.topic)
  })
})

it('a device that may see one app learns of no other', async () => {
  const owner = world.newOwner()
  for (const domain of ['one.example', 'two.example']) await world.app(domain)
  const all = await device(owner)
  const one = await device(owner, { allApps: false, domain: 'one.example' })
  await all.wallet.subscribe('two.example')
  await all.wallet.subscribe('one.example')
  await eventually(() => expect(domains(one)).toEqual(['one.example']))
})

it('what the server says stays, whatever another device shared', async () => {
  const owner = world.newOwner()
  await world.app('true.example')
  const first = await device(owner)
  const subscription = await first.wallet.subscribe('true.example')
  const [item] = first.sharedSubscriptions.all()
  if (!item) throw new Error('it is shared')
  const second = await device(owner)
  await second.wallet.watch()
  await first.sharedSubscriptions.set({ ...item, symKey: 'ab'.repeat(32) })
  await first.sharedSubscriptions.set({
    ...item,
    account: 'eip155:1:0x0000000000000000000000000000000000000001',
  })
  await eventually(() => expect(second.sharedSubscriptions.all()).toHaveLength(2))
  expect(second.wallet.subscriptions().map(({ topic }) => topic)).toEqual([subscription.topic])
})
