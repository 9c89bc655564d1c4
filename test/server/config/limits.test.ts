/** The limits of a deployment: on by default, changed by a setting, shared by the processes on one Redis. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { composeServer, type RunningServer } from '../../../src/server/compose.ts'
import { configWith, readConfig } from '../../../src/server/config/config.ts'
import { RATE_LIMIT_NAMES } from '../../../src/server/config/settings/rate-limits.ts'
import { startRedis } from '../../support/redis.ts'
import { newDevice } from '../../support/story.ts'
import { startWorld } from '../../support/world.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-limits-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

it('are understood in the environment and in a file, and a mistake stops the start', () => {
  const limitsOf = (text: string) => readConfig({}, { BELFRY_LIMITS: text }).config.limits
  expect(readConfig({}, {}).config.limits).toEqual({})
  expect(limitsOf('notify: 50, 5/s; link: off')).toEqual({ notify: '50, 5/s', link: 'off' })
  expect(limitsOf('off')).toEqual(Object.fromEntries(RATE_LIMIT_NAMES.map((name) => [name, 'off'])))
  for (const wrong of ['fast', 'notify: fast', 'other: 20, 2/s', 'notify 20, 2/s']) {
    expect(() => limitsOf(wrong)).toThrow('BELFRY_LIMITS must be off, or name: burst, n/s')
  }
})

const subscribersOf = async (server: RunningServer, project: { id: string; secret: string }) => {
  const headers = { authorization: `Bearer ${project.secret}` }
  return (await fetch(`${server.loopbackUrl}/${project.id}/subscribers`, { headers })).status
}

it('are shared by the processes on one Redis, and a secret that one revokes is refused by the other', async () => {
  await using redis = await startRedis()
  const config = (name: string) =>
    configWith({
      ...{ port: 0, host: '127.0.0.1', metrics: 'off', logLevel: 'silent' },
      ...{ data: join(dir, name), redisUrl: redis.url, secret: 'a secret that processes share' },
      limits: { subscribersV0: '10, 1/h' },
    })
  await using one = await composeServer(config('one'))
  await using two = await composeServer(config('two'))
  await Promise.all([one.ready(), two.ready()])
  const { project } = one
  if (!project) throw new Error('it has a notify room')
  const statuses = await Promise.all(
    Array.from({ length: 24 }, (_, at) => subscribersOf(at % 2 ? one : two, project)),
  )
  expect(statuses.filter((status) => status === 200)).toHaveLength(10)
  expect(statuses.filter((status) => status === 429)).toHaveLength(14)

  const path = `/admin/projects/${project.id}/secrets/first`
  const headers = { authorization: `Bearer ${one.adminToken}` }
  expect((await fetch(one.loopbackUrl + path, { method: 'DELETE', headers })).status).toBe(200)
  expect(await subscribersOf(one, project)).toBe(401)
  expect(await subscribersOf(two, project)).toBe(401)
}, 60_000)

it('of a deployment that says nothing are the published ones, for dapps and for wallets', async () => {
  await using world = await startWorld({ config: { limits: {} } })
  const app = await world.addApp('app.example', { types: [{ name: 'News' }] })
  const ask = () => world.http('GET', `/${app.projectId}/subscribers`, { token: app.secret ?? '' })
  const statuses = (await Promise.all(Array.from({ length: 8 }, ask))).map(({ status }) => status)
  expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(2)
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(5)

  await using device = newDevice(world)
  for (let at = 0; at < 10; at++) {
    await device.subscribe('app.example', [])
    await device.delete('app.example')
  }
  await device.subscribe('app.example', [])
  await expect(device.delete('app.example')).rejects.toMatchObject({
    code: 'rate_limited',
    message: expect.stringContaining('try again in'),
  })
  expect(device.subscriptions()).toHaveLength(1)
})
