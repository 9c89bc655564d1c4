import { type ChildProcess, spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import { countOf, differencesOf, tallyOf } from '../../src/storage/transfer/sum.ts'
import { client, hex, message, topic } from '../contract/relay-samples.ts'
import { contentOf, furnish } from '../contract/transfer-samples.ts'
import { startServerProcess } from '../support/process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { strikesWhenItSays } from '../support/strike.ts'
import { fillStore } from '../support/world/full-store.ts'

const HOUR = 3_600_000
/** Subscriptions of the large store. */
const SIZE = crowd(100_000, 1_500, 60)
let dir: string
let redis: RedisServer
let running: ChildProcess | undefined
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-migrate-'))
  redis = await startRedis()
})
afterAll(async () => {
  running?.kill('SIGKILL')
  await redis[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true })
})

const path = (name: string) => join(dir, name)

/** Runs `belfry` as it was built. */
const belfry = (words: string[], env: NodeJS.ProcessEnv = {}) =>
  new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, [join(process.cwd(), 'dist/cli/main.js'), ...words], {
      cwd: dir,
      env: { PATH: process.env.PATH, NO_COLOR: '1', ...env },
    })
    running = child
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (text) => {
      said.stdout += text
    })
    child.stderr.on('data', (text) => {
      said.stderr += text
    })
    child.on('close', (code) => resolve({ code, ...said }))
  })

const migrate = (from: string, to: string) => belfry(['migrate', '--from', from, '--to', to])
const lmdb = (name: string) => `lmdb:${path(name)}`

/** A data directory with something of everything. */
const furnished = async (name: string, now = Date.now()) => {
  mkdirSync(path(name))
  await using stores = await openLmdb({ path: join(path(name), 'store') })
  await furnish(stores, now)
  await stores.notify.sweep(now, 10_000)
}
const contentIn = async (name: string, now: number) => {
  await using stores = await openLmdb({ path: join(path(name), 'store') })
  return await contentOf(stores.transfer.read, now)
}

describe('migrate', () => {
  it('a large store of subscriptions with history there and back leave identical content; killed half-way it goes on', async () => {
    const now = Date.now()
    mkdirSync(path('town'))
    await fillStore(join(path('town'), 'store'), SIZE, now)
    const away = ['migrate', '--from', lmdb('town'), '--to', redis.url]

    // Killed when the first copies are over there, and again later.
    const strike = strikesWhenItSays({ stream: 'stderr', says: /^account /m, signal: 'SIGKILL' })
    const killed = await belfry(away, strike)
    expect(killed.code).toBeNull()
    await using half = await openRedis({ url: redis.url })
    const there = (await half.transfer.read.account.size()) ?? 0
    expect(there).toBeGreaterThan(0)
    expect(await half.transfer.note()).toContain(path('town'))
    const again = await belfry(away)
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('Finished what was begun') })
    expect(again.stderr).not.toContain('identity')

    expect(await migrate(redis.url, lmdb('back'))).toMatchObject({ code: 0 })
    await using town = await openLmdb({ path: join(path('town'), 'store') })
    await using back = await openLmdb({ path: join(path('back'), 'store') })
    const before = await tallyOf(town.transfer.read, now)
    expect(countOf(before)).toBeGreaterThan(3 * SIZE)
    expect(differencesOf(before, await tallyOf(back.transfer.read, now))).toEqual([])
    await redis.cli('flushall')
  }, 900_000)

  it('says where the secret lies, and finds a store by its own directory, too', async () => {
    const now = Date.now()
    await furnished('whole', now)
    writeFileSync(join(path('whole'), 'secret'), 'a secret of the whole')
    const { code, stdout } = await migrate(`${lmdb('whole')}/store`, lmdb('twin'))
    expect(code).toBe(0)
    expect(stdout).toContain(`the file ${join(path('whole'), 'secret')}`)
    expect(await contentIn('twin', now)).toEqual(await contentIn('whole', now))
  })

  it('refuses with one sentence what would not end well', async () => {
    await furnished('source')
    await furnished('full')
    const refused = async (words: string[], code: number, sentence: string) => {
      const answer = await belfry(['migrate', ...words])
      expect(answer).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(sentence) })
      if (code === 1) expect(answer.stderr.trim().split('\n')).toHaveLength(1)
    }
    const source = ['--from', lmdb('source')]
    await refused([...source, '--to', lmdb('full')], 1, 'The target is not empty. Nothing was changed.')
    await refused([...source, '--to', `${lmdb('source')}/store`], 1, '--from and --to are the same store.')
    await refused(['--from', lmdb('nowhere'), '--to', lmdb('new')], 1, 'There is no store in')
    await refused([...source, '--to', 'redis://127.0.0.1:1'], 1, 'No Redis answers at redis://127.0.0.1:1.')
    await refused([...source, '--to', 'postgres://x'], 2, '--to must be lmdb:<data directory>')
    await refused(source, 2, '--to is missing')
    expect(existsSync(path('new'))).toBe(false)

    mkdirSync(path('other'))
    {
      await using other = await openLmdb({ path: join(path('other'), 'store') })
      await other.transfer.setNote(JSON.stringify({ from: 'lmdb:/elsewhere' }))
    }
    await refused([...source, '--to', lmdb('other')], 1, 'an unfinished transfer from lmdb:/elsewhere')
    await refused(['--from', lmdb('other'), '--to', lmdb('more')], 1, 'The source itself is an unfinished')
    await using server = await startServerProcess(path('served'))
    await refused(
      ['--from', lmdb('served'), '--to', lmdb('more')],
      1,
      `another running process (${server.pid})`,
    )
    await refused([...source, '--to', lmdb('served')], 1, `another running process (${server.pid})`)
  }, 60_000)
})

describe('backup and restore', () => {
  it('bring everything back, into either engine', async () => {
    const now = Date.now()
    await furnished('home', now)
    const [file, second] = [path('home.backup'), path('redis.backup')]
    const saved = await belfry(['backup', '--from', lmdb('home'), '--to', file])
    expect(saved).toMatchObject({ code: 0, stdout: expect.stringContaining('The secret is not among them') })
    await redis.cli('flushall')
    expect(await belfry(['restore', '--from', file, '--to', redis.url])).toMatchObject({ code: 0 })
    expect(await belfry(['backup', '--from', redis.url, '--to', second])).toMatchObject({ code: 0 })
    expect(await belfry(['restore', '--from', second, '--to', lmdb('again')])).toMatchObject({ code: 0 })
    expect(await contentIn('again', now)).toEqual(await contentIn('home', now))
    await redis.cli('flushall')
  }, 60_000)

  it('read the store of a running server through it', async () => {
    const now = Date.now()
    mkdirSync(path('live'))
    // A server does not make up a secret for a store that it finds.
    writeFileSync(join(path('live'), 'secret'), 'the secret of the live one')
    {
      await using stores = await openLmdb({ path: join(path('live'), 'store') })
      await stores.relay.subscribe(client('a'), [topic('box')], { now: Date.now() })
      await stores.relay.publish([message(topic('box'), 'text', { publishedAt: now, expiresAt: now + HOUR })])
    }
    await using server = await startServerProcess(path('live'))
    const file = path('live.backup')
    const { code, stdout } = await belfry(['backup', '--from', lmdb('live'), '--to', file])
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining(`the server at ${server.url}`),
    })
    expect(await belfry(['restore', '--from', file, '--to', lmdb('from live')])).toMatchObject({ code: 0 })
    const content = await contentIn('from live', now)
    expect(content.message).toMatchObject([{ id: hex('text') }])
    expect(content.serverKeys).toHaveLength(1)
    await using restored = await startServerProcess(path('other home'), {
      env: { BELFRY_SECRET: readFileSync(join(path('live'), 'secret'), 'utf8') },
    })
    expect((await fetch(`${restored.url}/ready`)).status).toBe(200)
  }, 60_000)

  it('refuse a file that is cut off or has another bit, before anything is changed', async () => {
    await furnished('kept')
    const file = path('kept.backup')
    expect(await belfry(['backup', '--from', lmdb('kept'), '--to', file])).toMatchObject({ code: 0 })
    const bytes = readFileSync(file)
    const text = gunzipSync(bytes).toString()
    const lines = text.split('\n')
    const flipped = Buffer.from(bytes)
    flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] ?? 0) ^ 4
    const damaged: [string, Buffer][] = [
      ['cut', bytes.subarray(0, bytes.length - 20)],
      ['half', bytes.subarray(0, bytes.length >> 1)],
      ['flipped', flipped],
      ['endless', gzipSync(`${lines.slice(0, -2).join('\n')}\n`)],
      ['altered', gzipSync(text.replace('Title n7 ', 'Title n8 '))],
      ['shorter', gzipSync([...lines.slice(0, 5), ...lines.slice(6)].join('\n'))],
      ['newer', gzipSync(text.replace('"version":1', '"version":2'))],
      ['none', Buffer.from('hello')],
    ]
    for (const [name, content] of damaged) {
      writeFileSync(path(name), content)
      const { code, stderr } = await belfry(['restore', '--from', path(name), '--to', lmdb('fresh')])
      expect({ name, code, stderr }).toEqual({
        name,
        code: 1,
        stderr: expect.stringMatching(/^The backup .* Nothing was changed\.\n$/),
      })
    }
    const into = (name: string) => belfry(['restore', '--from', file, '--to', lmdb(name)])
    expect(await into('kept')).toMatchObject({
      code: 1,
      stderr: 'The target is not empty. Nothing was changed.\n',
    })
    expect(await into('fresh')).toMatchObject({ code: 0 })
    expect(await belfry(['restore', '--from', path('missing'), '--to', lmdb('x')])).toMatchObject({
      code: 1,
      stderr: `There is no file ${path('missing')}.\n`,
    })
    // What could not be written leaves the earlier backup as it was.
    copyFileSync(file, path('earlier'))
    const failed = await belfry(['backup', '--from', lmdb('nowhere'), '--to', path('earlier')])
    expect(failed.code).toBe(1)
    expect(readFileSync(path('earlier'))).toEqual(bytes)
  }, 90_000)
})
