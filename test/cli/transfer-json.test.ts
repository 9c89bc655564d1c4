/** `backup`, `restore` and `migrate` for programs: with --json they print one JSON value and nothing else. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startClientWorld } from '../support/world/wallets.ts'
import { startWorld, type World } from '../support/world.ts'
import { commandLineOf } from './belfry.ts'

let world: World
let dir: string
beforeAll(async () => {
  world = await startWorld()
  dir = mkdtempSync(join(tmpdir(), 'belfry-transfer-'))
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true })
})

it('say how many records went where', async () => {
  const { json } = commandLineOf(world, dir)
  await json('app', 'add', 'moved.example.com', '--type', 'News')
  const [file, first, second] = ['backup', 'first', 'second'].map((name) => join(dir, name))
  const saved = await json('backup', '--to', `${file}`)
  expect(saved).toEqual({
    records: expect.any(Number),
    source: expect.stringContaining('the server at http'),
    file,
  })
  expect(saved.records).toBeGreaterThan(2)
  expect(await json('restore', '--from', `${file}`, '--to', `lmdb:${first}`)).toEqual({
    ...{ records: saved.records, file, store: `lmdb:${first}`, leftOut: 0, ending: 0 },
  })
  expect(await json('migrate', '--from', `lmdb:${first}`, '--to', `lmdb:${second}`)).toEqual({
    ...{ records: saved.records, from: `lmdb:${first}`, to: `lmdb:${second}`, resumed: false, leftOut: 0 },
  })
}, 120_000)

it('a restore accounts for all that is in the backup, what ends within minutes too', async () => {
  await using house = await startClientWorld()
  await house.app('ending.example.com', ['News'])
  await house.device(house.newOwner()).wallet.subscribe('ending.example.com')
  const { json } = commandLineOf(world, dir)
  const file = join(dir, 'ending')
  const saved = await json('backup', '--to', file, '--server', house.url, '--token', house.adminToken)
  const restored = await json('restore', '--from', file, '--to', `lmdb:${join(dir, 'ended')}`)
  expect(restored.ending).toBeGreaterThan(0)
  expect(restored.records + restored.ending).toBe(saved.records)
}, 120_000)
