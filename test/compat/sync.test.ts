import { afterAll, beforeAll, expect, it } from 'vitest'
import { openSync } from '../../src/sdk/sync.ts'
import type { Sync } from '../../src/sync/client.ts'
import { memoryStorage } from '../../src/sync/storage.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner, type Owner } from '../support/owner.ts'
import { type System, startSystem } from '../support/world/system.ts'
import { type Peer, startPeer } from './peer.ts'

/** The published sync client, and ours: devices of one account. */

let system: System
beforeAll(async () => {
  system = await startSystem()
})
afterAll(() => system[Symbol.asyncDispose]())

const store = 'my-user-profile'

const published = async (owner: Owner, index: number): Promise<Peer> => {
  const peer = await startPeer('sync', { routes: system.fixedNames })
  const { account } = owner
  await peer.call('init', { relayUrl: system.relayUrl(index), projectId: system.projectId })
  const text = await peer.call<string>('getMessage', { account })
  await peer.call('register', { account, signature: owner.sign(text) })
  await peer.call('create', { account, store })
  return peer
}

const ours = async (owner: Owner, index: number): Promise<Sync> => {
  const relayUrl = system.relayUrl(index)
  const sync = await openSync({
    ...{ relayUrl, archiveUrl: system.url, projectId: system.projectId },
    storage: memoryStorage(),
  })
  const { account } = owner
  await sync.register({ account, signature: owner.sign(await sync.getMessage({ account })) })
  await sync.create({ account, store })
  return sync
}

it('a published client and ours share a store, both ways', async () => {
  const owner = newOwner()
  const { account } = owner
  const where = { account, store }
  await using sync = await ours(owner, 0)
  await using peer = await published(owner, 1)
  const stores = () => peer.call<Record<string, Record<string, string>>>('getStores', { account })

  expect(await peer.call<boolean>('set', { ...where, key: 'name', value: 'Ada' })).toBe(true)
  await eventually(() => expect(sync.entries(where)).toEqual([['name', 'Ada']]))
  await sync.set({ ...where, key: 'city', value: '"Zürich"' })
  await sync.set({ ...where, key: 'name', value: 'Ada L.' })
  await eventually(async () => {
    expect(await stores()).toEqual(await sync.getStores({ account }))
    expect(Object.values(await stores())).toEqual([{ name: 'Ada L.', city: '"Zürich"' }])
  })
  await sync.delete({ ...where, key: 'city' })
  await eventually(async () => expect(Object.values(await stores())).toEqual([{ name: 'Ada L.' }]))
  expect(await peer.call<boolean>('delete', { ...where, key: 'name' })).toBe(true)
  await eventually(() => expect(sync.entries(where)).toEqual([]))
  expect(peer.outside).toEqual([])
})

it('ours joins late and finds what a published client set, by way of one of ours that was there', async () => {
  const owner = newOwner()
  const { account } = owner
  const where = { account, store }
  await using first = await ours(owner, 0)
  await first.caughtUp()
  await using peer = await published(owner, 1)
  for (let at = 0; at < 5; at++) await peer.call('set', { ...where, key: `k${at}`, value: `${at}` })
  await eventually(() => expect(first.entries(where)).toHaveLength(5))
  await using late = await ours(owner, 1)
  await late.caughtUp()
  expect(late.export(where)).toBe(first.export(where))
})
