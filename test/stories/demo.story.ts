import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findRedis, type RedisServer, startRedis } from '../support/redis.ts'
import { strikesWhenItSays } from '../support/strike.ts'

/** Where a demo puts its files. */
const temporaryDirectory = (): Disposable & { path: string } => {
  const path = mkdtempSync(join(tmpdir(), 'belfry-test-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) }
}

const pidsIn = (page: string) => [...page.matchAll(/\(process (\d+)\)/g)].map(([, pid]) => Number(pid))

const isRunning = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Runs `belfry demo` as it was built. */
const runDemo = (directory: string, words: string[], { env = {} }: { env?: NodeJS.ProcessEnv } = {}) =>
  new Promise<{ code: number | null; page: string; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, ['dist/cli/main.js', 'demo', ...words], {
      env: { PATH: process.env.PATH, TMPDIR: directory, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const said = { page: '', stderr: '' }
    child.stdout.on('data', (text) => {
      said.page += text
    })
    child.stderr.on('data', (text) => {
      said.stderr += text
    })
    child.once('close', (code) => resolve({ code, ...said }))
  })

const expectNothingLeft = (directory: string, page: string) => {
  expect(pidsIn(page).filter(isRunning)).toEqual([])
  expect(readdirSync(directory)).toEqual([])
}

const STORY = [
  'The phone subscribed to app.example.com',
  'The laptop was told, and has joined the same topic',
  'The dapp sent “Hello: Your first notification”',
  'The phone received and decrypted “Hello: Your first notification”',
  'The laptop received and decrypted “Hello: Your first notification”',
  'The laptop received and decrypted “Later: Sent while the laptop was away”',
  'unread  “Hello: Your first notification”',
  'The phone marked “Hello: Your first notification” as read',
  'The laptop deleted it',
  'All of it worked',
]

const expectWholeStory = (page: string, sentences: readonly string[]) => {
  for (const sentence of sentences) expect(page).toContain(sentence)
  const lines = page.split('\n')
  expect(lines.length).toBeLessThan(70)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(120)
}

describe('the demo', () => {
  it('tells the whole story on one page, and leaves nothing behind', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    const { code, page, stderr } = await runDemo(directory, [])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expectWholeStory(page, STORY)
    expectNothingLeft(directory, page)
  })

  it('that fails says so in a sentence and with its exit code', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    const { code, page, stderr } = await runDemo(directory, [], { env: { TMPDIR: '/dev/null/nowhere' } })
    expect({ code, page }).toEqual({ code: 1, page: '' })
    expect(stderr).toMatch(/^\nThe demo failed: .*nowhere.*\n$/)
  })

  it('that is interrupted leaves nothing behind', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    const env = strikesWhenItSays({ stream: 'stdout', says: /The phone subscribed/, signal: 'SIGINT' })
    const { code, page, stderr } = await runDemo(directory, [], { env })
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: '\nThe demo was interrupted; what it started has ended.\n',
    })
    expect(page).not.toContain('All of it worked')
    expectNothingLeft(directory, page)
  })

  it('takes a URL only with --redis, and only one of a Redis', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    expect(await runDemo(directory, ['redis://127.0.0.1:1'])).toMatchObject({ code: 2, page: '' })
    const wrong = await runDemo(directory, ['--redis=http://user:secret@127.0.0.1'])
    expect(wrong).toMatchObject({ code: 1, page: '' })
    expect(wrong.stderr).toMatch(/^--redis must be redis:.*\n$/)
    expect(wrong.stderr).not.toContain('secret')
  })
})

// Five processes start, and what a killed relay held waits for half a minute at most: each waits beside the others. How long a
// step may take the demo knows itself; a minute for each of the five would be no surprise where others compute.
describe('the demo on Redis', { timeout: 300_000 }, () => {
  const withRedis = async () => ({
    PATH: [dirname((await findRedis()).server), process.env.PATH].join(delimiter),
  })

  it.concurrent('tells the same story with processes that are killed on the way, and leaves nothing behind', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    // What is set for another server is not meant for these.
    const env = { ...(await withRedis()), PORT: '1', BELFRY_ROOMS: 'keys', BELFRY_DATA: '/dev/null' }
    const { code, page, stderr } = await runDemo(directory, ['--redis'], { env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expectWholeStory(page, [
      'Relay 1 at',
      'Relay 2 at',
      'Notify server 1 at',
      'Notify server 2 at',
      ...STORY,
      'The phone has received all 20, each once',
      'The laptop has received all 20, each once',
      'The laptop received and decrypted “Still here: From the one that is left”',
    ])
    // Redis, four servers, the relay that was killed (named again), the one in its place.
    expect(new Set(pidsIn(page)).size).toBe(6)
    expectNothingLeft(directory, page)
  })

  it.concurrent('leaves nothing behind when it is interrupted, while it starts or later', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    for (const says of [/Relay 1 at/, /half-way, SIGKILL ended the relay/]) {
      const strike = strikesWhenItSays({ stream: 'stdout', says, signal: 'SIGTERM' })
      const env = { ...(await withRedis()), ...strike }
      const { code, page, stderr } = await runDemo(directory, ['--redis'], { env })
      expect({ code, stderr }).toEqual({
        code: 143,
        stderr: '\nThe demo was interrupted; what it started has ended.\n',
      })
      expectNothingLeft(directory, page)
    }
  })

  it.concurrent('leaves nothing behind when it fails in the middle', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    // Redis is the first process that the page names.
    const strike = strikesWhenItSays({
      ...{ stream: 'stdout', says: /The phone subscribed/, signal: 'SIGKILL' },
      whom: /\(process (\d+)\)/,
    })
    const env = { ...(await withRedis()), ...strike }
    const { code, page, stderr } = await runDemo(directory, ['--redis'], { env })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^\nThe demo failed: .*\n$/)
    expect(page).not.toContain('All of it worked')
    expectNothingLeft(directory, page)
  })

  it.concurrent('says what to install where there is none', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    const { code, page, stderr } = await runDemo(directory, ['--redis'], { env: { PATH: directory } })
    expect({ code, page }).toEqual({ code: 1, page: '' })
    expect(stderr).toMatch(/^\nThe demo failed: There is no redis-server .* install .*\n$/)
    expect(readdirSync(directory)).toEqual([])
  })

  const keysOf = async (redis: RedisServer, database: number) =>
    Number(await redis.cli('-n', `${database}`, 'dbsize'))

  it.concurrent('uses a Redis that it is given, when that is empty, and leaves it empty', async () => {
    using place = temporaryDirectory()
    const directory = place.path
    await using redis = await startRedis()
    await redis.cli('set', 'somebody', 'else')

    const env = { REDIS_URL: redis.url }
    const refused = await runDemo(directory, ['--redis'], { env })
    expect(refused).toMatchObject({ code: 1, page: '' })
    expect(refused.stderr).toMatch(/^\nThe demo failed: That Redis is not empty \(keys: 1\), .*\n$/)

    const { code, page } = await runDemo(directory, ['--redis', `${redis.url}/1`], { env })
    expect(code).toBe(0)
    expect(page).toContain('Redis is there, and empty')
    expectNothingLeft(directory, page)
    expect(await keysOf(redis, 0)).toBe(1)
    expect(await redis.cli('get', 'somebody')).toBe('else')
    expect(await keysOf(redis, 1)).toBe(0)

    await redis.stop()
    const gone = await runDemo(directory, ['--redis'], { env })
    expect(gone).toMatchObject({ code: 1, page: '' })
    expect(gone.stderr).toMatch(/^\nThe demo failed: That Redis cannot be used: .*\n$/)
    expect(readdirSync(directory)).toEqual([])
  })
})
