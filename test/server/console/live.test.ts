import { describe, expect, it } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { startRedis } from '../../support/redis.ts'
import { startClientWorld } from '../../support/world/wallets.ts'
import { startWorld, type World } from '../../support/world.ts'

const asked = async (world: Pick<World, 'http' | 'adminToken'>, path: string): Promise<unknown> => {
  const { status, body } = await world.http('GET', path, { token: world.adminToken })
  expect(status).toBe(200)
  return body
}

describe('how the server is', () => {
  it('is told of the embedded store', async () => {
    await using world = await startWorld()
    expect(await asked(world, '/admin/status')).toMatchObject({
      process: { rooms: expect.arrayContaining(['relay', 'notify']), pid: process.pid, isHealthy: true },
      store: {
        health: { engine: 'embedded', fileBytes: expect.any(Number) },
        space: { kind: 'disk' },
        ...{ pressure: 'ok', trouble: null },
      },
      outbox: { size: expect.any(Number) },
      jobs: { waiting: expect.any(Number), dead: 0 },
    })
    const { samples } = (await asked(world, '/admin/samples')) as { samples: { rssBytes: number }[] }
    expect(samples[0]?.rssBytes).toBeGreaterThan(0)
  })

  it('is told of Redis: memory, policy, persistence', async () => {
    await using redis = await startRedis({ appendonly: true })
    await using world = await startWorld({ config: { redisUrl: redis.url } })
    expect(await asked(world, '/admin/status')).toMatchObject({
      store: {
        health: {
          engine: 'redis',
          nodes: [
            { policy: 'noeviction', isAppendOnly: true, lastAppend: 'ok', usedBytes: expect.any(Number) },
          ],
        },
        space: { kind: 'memory' },
      },
    })
  })

  it('says how long the oldest entry of the outbox waits', async () => {
    await using world = await startWorld()
    const at = Date.now() - 60_000
    const entry = { id: 'waits', createdAt: at, expiresAt: at + 3_600_000, notBefore: at + 1_800_000 }
    await world.stores.notify.commit({
      ...{ accountKey: 'eip155:0xa', expectedVersion: 0, record: { subscriptions: [], watchers: [] } },
      outbox: [{ ...entry, task: { kind: 'leave', topic: 'ab'.repeat(32) } }],
    })
    expect(await asked(world, '/admin/status')).toMatchObject({
      outbox: { oldestAt: new Date(at).toISOString() },
    })
  })
})

it('names who is connected, and what became of an app’s notifications', async () => {
  await using world = await startClientWorld()
  const [type = ''] = await world.app('app.example')
  const owner = await world.newOwner()
  const { wallet, titles } = world.device(owner)
  await wallet.subscribe('app.example')
  const get = async (path: string): Promise<Record<string, unknown>> => {
    const headers = { authorization: `Bearer ${world.adminToken}` }
    return Object(await (await fetch(world.url + path, { headers })).json())
  }
  const connections = await get('/admin/connections')
  expect(connections.total).toBe(2)
  expect(connections.connections).toContainEqual(
    expect.objectContaining({ address: '127.0.0.1', isTrusted: false, isBlocked: false }),
  )
  expect(await get('/admin/budgets')).toMatchObject({ addresses: [{ address: '127.0.0.1' }] })
  await world.dapp('app.example').notify({ type, title: 'One', body: 'more' }, [owner.account], { id: 'one' })
  await eventually(() => expect(titles()).toEqual(['One']))
  const path = '/admin/apps/app.example/notifications'
  await eventually(async () => expect(await get(`${path}/one`)).toMatchObject({ counts: { delivered: 1 } }))
  expect(await get(path)).toMatchObject({ notifications: [{ notification_id: 'one' }], next: null })
  expect(await get(`${path}/one/receipts`)).toMatchObject({
    receipts: [{ account: owner.account, state: 'delivered' }],
  })
})
