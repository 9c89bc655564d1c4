import { spawn } from 'node:child_process'
import { appendFile, mkdtemp, readFile, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSync } from '../../src/sdk/sync.ts'
import { openFileStorage } from '../../src/sync/file.ts'
import { memoryStorage } from '../../src/sync/storage.ts'
import { eventually } from '../support/eventually.ts'
import { startWorld } from '../support/world.ts'
import vectors from '../vectors/sync.json' with { type: 'json' }

const { account, signature } = vectors
const where = { account, store: 'crash' }

let dir: string
let path: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'belfry-file-'))
  path = join(dir, 'deep', 'state')
})
afterEach(() => rm(dir, { recursive: true }))

const put = async (changes: [string, string | undefined][]) => {
  await using file = await openFileStorage(path)
  await file.write(new Map(changes))
}
const content = async () => {
  await using file = await openFileStorage(path)
  return Object.fromEntries(await file.load())
}

describe('a storage in a file', () => {
  it('has what was written, for its owner alone', async () => {
    await put([
      ['a', '1'],
      ['b', 'ü\n2'],
    ])
    await put([
      ['a', undefined],
      ['c', ''],
    ])
    expect(await content()).toEqual({ b: 'ü\n2', c: '' })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('has all of a write or nothing, wherever a crash cut it off', async () => {
    await put([['before', '1']])
    const whole = (await stat(path)).size
    await put([
      ['x', 'one'],
      ['y', 'two'],
    ])
    const both = await readFile(path)
    for (let length = both.length - 1; length >= whole; length--) {
      await truncate(path, 0)
      await appendFile(path, both.subarray(0, length))
      expect(await content()).toEqual({ before: '1' })
      // What was cut off is not in the way of what comes.
      await put([['after', `${length}`]])
      expect(await content()).toEqual({ before: '1', after: `${length}` })
    }
  })

  it('stays short, however often it is written', async () => {
    await using file = await openFileStorage(path)
    const value = 'v'.repeat(50_000)
    for (let at = 0; at < 100; at++) await file.write(new Map([[`k${at % 3}`, `${at}${value}`]]))
    expect((await stat(path)).size).toBeLessThan(2_500_000)
    expect(Object.keys(await content())).toHaveLength(3)
    expect((await content()).k0).toBe(`99${value}`)
  })
})

it('a device that is killed while it writes has lost no value that was acknowledged, and publishes it later', {
  timeout: 120_000,
}, async () => {
  const last = new Map<string, number>()
  for (let round = 0; round < 4; round++) {
    const writer = spawn(
      process.execPath,
      [
        ...['--import', 'tsx', '--conditions=source', 'test/sync/crash-writer.ts'],
        // A relay that is not there: everything waits in the outbox.
        ...[path, 'ws://127.0.0.1:9', account, signature],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let left = 50 + round * 37
    for await (const line of createInterface({ input: writer.stdout })) {
      const [name = '', value] = line.split(' ')
      last.set(name, Number(value))
      left -= 1
      if (left === 0) writer.kill('SIGKILL')
    }
  }
  expect(last.size).toBe(3)
  await using world = await startWorld()
  await using file = await openFileStorage(path)
  await using back = await openSync({ url: world.url, storage: file })
  for (const [name, value] of last) {
    // The very last one may have been kept without having been answered.
    const kept = Number(back.value({ ...where, key: `key ${name}` }))
    expect([value, value + 1]).toContain(kept)
  }
  await using other = await openSync({ url: world.url, storage: memoryStorage() })
  await other.register({ account, signature })
  await other.create(where)
  await eventually(() => expect(other.export(where)).toBe(back.export(where)))
})
