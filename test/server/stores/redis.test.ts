import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { silent } from '../../../src/platform/telemetry.ts'
import { composeServer } from '../../../src/server/compose.ts'
import { type Config, configWith } from '../../../src/server/config/config.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-server-redis-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const SECRET = 'a secret that processes share'
const configOf = (name: string, config: Partial<Config>): Config =>
  configWith({
    port: 0,
    host: '127.0.0.1',
    data: join(dir, name),
    metrics: 'off',
    logLevel: 'silent',
    secret: SECRET,
    ...config,
  })
const statusOf = async (url: string) => (await fetch(url)).status

it('waits for a Redis that is down, saying so on /ready, and outlives a restart of it', async () => {
  await using redis = await startRedis({ appendonly: true })
  await redis.stop()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const composing = composeServer(configOf('one', { port, redisUrl: redis.url }))
  await eventually(async () => expect(await statusOf(`${url}/health`)).toBe(200))
  expect(await statusOf(`${url}/ready`)).toBe(503)
  const refused = await fetch(`${url}/identity?publicKey=x`)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])

  await redis.restart()
  await using server = await composing
  await server.ready()
  expect(await statusOf(`${url}/ready`)).toBe(200)

  await redis.stop()
  await eventually(async () => expect(await statusOf(`${url}/ready`)).toBe(503))
  expect(await statusOf(`${url}/health`)).toBe(200)
  await redis.restart()
  await eventually(async () => expect(await statusOf(`${url}/ready`)).toBe(200))
}, 90_000)

it('gives the wait up when it is told to stop', async () => {
  const ending = new AbortController()
  const port = await freePort()
  const config = configOf('one', { port, redisUrl: `redis://127.0.0.1:${await freePort()}` })
  const composing = composeServer(config, { signal: ending.signal })
  const outcome = expect(composing).rejects.toMatchObject({ code: 'unavailable' })
  await eventually(async () => expect(await statusOf(`http://127.0.0.1:${port}/health`)).toBe(200))
  ending.abort()
  await outcome
  await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow()
})

it('refuses another secret on a Redis that is in use, whichever the rooms', async () => {
  await using redis = await startRedis()
  await using first = await composeServer(configOf('one', { redisUrl: redis.url }))
  await first.ready()
  for (const rooms of [['relay'], ['relay', 'notify', 'keys']] satisfies Config['rooms'][]) {
    const other = configOf('two', { redisUrl: redis.url, rooms, secret: 'not the secret of the first' })
    await expect(composeServer(other)).rejects.toThrow(
      'The Redis of REDIS_URL was first used with another secret: give this process the same BELFRY_SECRET.',
    )
  }
})

it('runs rooms as processes: a notify server on a relay of its own kind', async () => {
  await using redis = await startRedis()
  await using relay = await composeServer(configOf('relay', { redisUrl: redis.url, rooms: ['relay'] }))
  await relay.ready()
  const settings: Partial<Config> = {
    redisUrl: redis.url,
    rooms: ['notify', 'keys'],
    relayUrl: relay.loopbackUrl,
    relayShared: true,
  }
  await using one = await composeServer(configOf('notify-1', settings))
  await using two = await composeServer(configOf('notify-2', settings))
  await Promise.all([one.ready(), two.ready()])
  for (const { loopbackUrl } of [relay, one, two]) expect(await statusOf(`${loopbackUrl}/ready`)).toBe(200)
  expect(two.project?.id).toBe(one.project?.id)
})

it('says so when the relay of a notify server does not answer, and is ready when it does', async () => {
  await using redis = await startRedis()
  const port = await freePort()
  const warnings: unknown[][] = []
  const log = { ...silent, warn: (...said: unknown[]) => void warnings.push(said) }
  const relayUrl = `http://127.0.0.1:${port}`
  const settings: Partial<Config> = { redisUrl: redis.url, relayUrl, relayShared: true }
  await using notify = await composeServer(configOf('notify', { ...settings, rooms: ['notify', 'keys'] }), {
    log,
  })
  const told = [
    expect.objectContaining({ relay: `ws://127.0.0.1:${port}` }),
    'The relay does not answer; trying again',
  ]
  await eventually(() => expect(warnings).toContainEqual(told))
  expect(await statusOf(`${notify.loopbackUrl}/ready`)).toBe(503)
  await using relay = await composeServer(
    configOf('relay', { redisUrl: redis.url, rooms: ['relay'], port, publicUrl: relayUrl }),
  )
  await Promise.all([relay.ready(), notify.ready()])
  expect(await statusOf(`${notify.loopbackUrl}/ready`)).toBe(200)
  expect(warnings.filter((said) => JSON.stringify(said).includes(`:${port}`))).toHaveLength(1)
}, 60_000)
