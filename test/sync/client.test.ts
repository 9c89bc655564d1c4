import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openSync } from '../../src/sdk/sync.ts'
import type { Sync } from '../../src/sync/client.ts'
import { openFileStorage } from '../../src/sync/file.ts'
import { type KeyValues, memoryStorage } from '../../src/sync/storage.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner, type Owner } from '../support/owner.ts'
import { startWorld, type World } from '../support/world.ts'

const RECORDS = 10_000

let world: World
let owner: Owner
let open: Sync[] = []
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())
beforeEach(() => {
  owner = newOwner()
})
afterEach(async () => {
  for (const sync of open) await sync[Symbol.asyncDispose]()
  open = []
})

const store = 'settings'
const where = () => ({ account: owner.account, store })

const device = async (storage: KeyValues = memoryStorage(), by = owner): Promise<Sync> => {
  const sync = await openSync({ url: world.url, storage })
  open.push(sync)
  const { account } = owner
  if (!(await sync.isRegistered({ account })))
    await sync.register({ account, signature: by.sign(await sync.getMessage({ account })) })
  await sync.create(where())
  return sync
}

describe('devices of one account', () => {
  it('see what each of them sets and deletes, and tell what changed', async () => {
    const [phone, laptop] = [await device(), await device()]
    const heard: unknown[] = []
    laptop.on('sync_update', ({ update, store }) => heard.push([store, update.key, update.value]))
    await Promise.all([phone.caughtUp(), laptop.caughtUp()])
    expect(await phone.set({ ...where(), key: 'theme', value: 'dark' })).toBe(true)
    expect(await phone.set({ ...where(), key: 'theme', value: 'dark' })).toBe(false)
    await eventually(() => expect(laptop.value({ ...where(), key: 'theme' })).toBe('dark'))
    expect(await laptop.delete({ ...where(), key: 'theme' })).toBe(true)
    expect(await laptop.delete({ ...where(), key: 'theme' })).toBe(false)
    await eventually(() => expect(phone.entries(where())).toEqual([]))
    expect(heard).toEqual([
      [store, 'theme', 'dark'],
      [store, 'theme', undefined],
    ])
    expect(phone.export(where())).toBe(laptop.export(where()))
  })

  it('find what was set before they joined, also what the relay does not have any more', async () => {
    const phone = await device()
    await phone.set({ ...where(), key: 'a', value: '1' })
    await phone.delete({ ...where(), key: 'a' })
    await phone.set({ ...where(), key: 'b', value: '2' })
    await phone.published()
    await world.stores.relay.sweep(Date.now() + 40 * 86_400_000, 10_000)
    const late = await device()
    await late.caughtUp()
    expect(late.entries(where())).toEqual([['b', '2']])
    expect(late.export(where())).toBe(phone.export(where()))
  })

  it('go on where they ended, with what they had not published', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'belfry-sync-'))
    try {
      await using file = await openFileStorage(join(dir, 'state'))
      const other = await device()
      const away = await openSync({ relayUrl: 'ws://127.0.0.1:9', storage: file })
      await away.register({
        account: owner.account,
        signature: owner.sign(await away.getMessage({ account: owner.account })),
      })
      await away.create(where())
      for (let at = 0; at < 20; at++) await away.set({ ...where(), key: `k${at}`, value: `${at}` })
      await away[Symbol.asyncDispose]()
      await using again = await openFileStorage(join(dir, 'state'))
      const back = await device(again)
      expect(back.entries(where())).toHaveLength(20)
      await eventually(() => expect(other.export(where())).toBe(back.export(where())))
    } finally {
      await rm(dir, { recursive: true })
    }
  })

  it('converge over real sockets while the server restarts, and a stranger sees nothing', async () => {
    const pair = [await device(), await device()]
    const stranger = await device(memoryStorage(), newOwner())
    for (let at = 0; at < 60; at++) {
      const sync = pair[at % 2]
      await sync?.set({ ...where(), key: `k${at % 7}`, value: `${at}` })
      if (at % 5 === 0) await sync?.delete({ ...where(), key: `k${(at + 3) % 7}` })
      if (at === 30) await world.restart()
    }
    await Promise.all(pair.map((sync) => sync.published()))
    const late = await device()
    await late.caughtUp()
    await eventually(() => {
      for (const sync of pair) expect(sync.export(where())).toBe(late.export(where()))
    })
    await stranger.caughtUp()
    expect(stranger.export(where())).toBe('[]')
  })

  it(`rebuild ${RECORDS} records from the archive in one pass`, { timeout: 120_000 }, async () => {
    const phone = await device()
    const value = 'v'.repeat(100)
    const began = performance.now()
    await Promise.all(
      Array.from({ length: RECORDS }, (_, at) => phone.set({ ...where(), key: `record ${at}`, value })),
    )
    await phone.published()
    const published = performance.now()
    const late = await device()
    await late.caughtUp()
    const ms = Math.round(performance.now() - published)
    console.log(`${RECORDS} records: published in ${Math.round(published - began)} ms, rebuilt in ${ms} ms`)
    expect(late.entries(where())).toHaveLength(RECORDS)
    expect(late.export(where())).toBe(phone.export(where()))
  })
})
