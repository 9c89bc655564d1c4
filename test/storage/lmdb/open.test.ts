import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { HEADS, PAGES } from '../../../src/notify/store/verbs/tables.ts'
import { openLmdb } from '../../../src/storage/lmdb/open.ts'
import { become, handOne, record, subscription, T } from '../../contract/notify-samples.ts'
import { client, topic } from '../../contract/relay-samples.ts'

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'belfry-open-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

it('makes the directory that it is given', async () => {
  await using stores = await openLmdb({ path: join(path, 'deep', 'down') })
  await stores.ping()
})

it('finishes what was asked for before it was closed, and refuses what comes later', async () => {
  const stores = await openLmdb({ path })
  const asked = stores.relay.subscribe(client('a'), [topic('a')], { now: Date.now() })
  const closing = stores[Symbol.asyncDispose]()
  const late = [
    stores.relay.topicsOf(client('a'), { limit: 10 }),
    stores.keys.identity('key'),
    stores.notify.outboxSize(),
    stores.ping(),
  ]
  for (const call of late) await expect(call).rejects.toMatchObject({ code: 'unavailable' })
  const pages = stores.relay.waiting(client('a'), T)[Symbol.asyncIterator]()
  await expect(pages.next()).rejects.toMatchObject({ code: 'unavailable' })
  expect(await asked).toMatchObject({ total: 1 })
  await closing
  await stores[Symbol.asyncDispose]()
  await expect(stores.ping()).rejects.toMatchObject({ code: 'unavailable' })
  await using again = await openLmdb({ path })
  expect(await again.relay.isSubscribed(client('a'), topic('a'))).toBe(true)
})

it('refuses a directory that another process works in, and takes it when that one was killed', async () => {
  const other = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=source', 'test/storage/lmdb/crash-writer.ts', path, 'other'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(other.stdout, 'data')
  await expect(openLmdb({ path })).rejects.toThrow(`in use by process ${other.pid}`)
  other.kill('SIGKILL')
  await once(other, 'exit')
  await using stores = await openLmdb({ path })
  await stores.ping()
})

it('keeps no copy of a subscription that ended', async () => {
  await using stores = await openLmdb({ path })
  await become(stores.notify, 'account', record([subscription('s')]))
  for (let at = 0; at < 25; at++) await handOne(stores.notify, 'account', 's', `copy ${at}`)
  const sizes = () => Promise.all([HEADS, PAGES].map(({ table }) => stores.kv.size(table)))
  expect(await sizes()).toEqual([1, 1])
  await become(stores.notify, 'account', record())
  expect(await sizes()).toEqual([0, 0])
})
