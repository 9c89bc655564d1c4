/** A Redis that is configured wrongly ends commands that open a store with the sentence that the server's start has. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { runBelfry } from './belfry.ts'

let dir: string
let redis: RedisServer
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-redis-mistakes-'))
  redis = await startRedis()
  await redis.cli('config', 'set', 'requirepass', 'right')
})
afterAll(async () => {
  await redis[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
})

// What waits for ever fails here.
const belfry = (words: string[], env: NodeJS.ProcessEnv = {}) =>
  runBelfry(words, { cwd: dir, env, timeout: 45_000 })

const wrong = () => `redis://:wrong@127.0.0.1:${redis.port}`
const refused = () => ({
  code: 1,
  stdout: '',
  stderr: `Redis at 127.0.0.1:${redis.port} refuses the password (WRONGPASS): put the right user and password into REDIS_URL.\n`,
})

it('serve, with the wrong password', async () => {
  const env = { REDIS_URL: wrong(), BELFRY_SECRET: 'a secret of this test', BELFRY_LOG_LEVEL: 'error' }
  expect(await belfry(['serve', '--port', '0', '--metrics', 'off'], env)).toEqual(refused())
}, 60_000)

it('backup, by flag and by REDIS_URL', async () => {
  const to = ['backup', '--to', join(dir, 'file')]
  expect(await belfry([...to, '--from', wrong()])).toEqual(refused())
  expect(await belfry(to, { REDIS_URL: wrong() })).toEqual(refused())
}, 120_000)

it('restore', async () => {
  writeFileSync(join(dir, 'some'), 'some')
  expect(await belfry(['restore', '--from', join(dir, 'some'), '--to', wrong()])).toEqual(refused())
}, 60_000)

it('migrate, from it and to it', async () => {
  expect(await belfry(['migrate', '--from', wrong(), '--to', `lmdb:${join(dir, 'new')}`])).toEqual(refused())
  const right = `redis://:right@127.0.0.1:${redis.port}`
  expect(await belfry(['migrate', '--from', right, '--to', `${wrong()}/1`])).toEqual(refused())
}, 180_000)

it('a password that is missing, and a Redis that is away', async () => {
  const bare = `redis://127.0.0.1:${redis.port}`
  expect(await belfry(['backup', '--to', join(dir, 'file'), '--from', bare])).toEqual({
    ...refused(),
    stderr: `Redis at 127.0.0.1:${redis.port} wants a password (NOAUTH): write redis://user:password@host:port in REDIS_URL.\n`,
  })
  expect(await belfry(['backup', '--to', join(dir, 'file'), '--from', 'redis://127.0.0.1:1'])).toEqual({
    ...refused(),
    stderr: 'No Redis answers at redis://127.0.0.1:1.\n',
  })
}, 120_000)
