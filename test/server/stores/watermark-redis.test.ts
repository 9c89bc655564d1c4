/** A Redis that is nearly full, full, and has room again. */
import { expect, it } from 'vitest'
import type { Log } from '../../../src/platform/telemetry.ts'
import { startPulse } from '../../security/pulse.ts'
import { eventually } from '../../support/eventually.ts'
import { startRedis } from '../../support/redis.ts'
import { connect, randomMessage, randomTopic } from '../../support/world/scripted-relay.ts'
import { startWorld } from '../../support/world.ts'

const BALLAST_BYTES = 64 * 1024

it('Redis with little memory: nearly full it tells, full it says so on /ready, and all goes on once there is room', async () => {
  await using redis = await startRedis({
    config: ['--maxmemory', '32mb', '--maxmemory-policy', 'noeviction', '--enable-debug-command', 'local'],
  })
  const lines: string[] = []
  const line = (_: Record<string, unknown>, sentence: string) => void lines.push(sentence)
  const log: Log = { debug: () => {}, info: line, warn: line, error: line }
  await using world = await startWorld({
    log,
    config: { redisUrl: redis.url, secret: 'a secret of this test' },
  })
  const ready = () => world.http('GET', '/ready')
  const ballast = (mib: number) =>
    redis.cli(
      'debug',
      'populate',
      `${(mib * 1024 * 1024) / BALLAST_BYTES}`,
      `ballast${mib}`,
      `${BALLAST_BYTES}`,
    )
  const remove = (mib: number) =>
    redis.cli(
      'eval',
      `for i = 0, ${(mib * 1024 * 1024) / BALLAST_BYTES} do redis.call('del', 'ballast${mib}:' .. i) end`,
      '0',
    )
  await using pulse = await startPulse(world)

  await ballast(21)
  await eventually(async () =>
    expect(await ready()).toMatchObject({ status: 200, body: { ready: true, pressure: 'high' } }),
  )
  expect(await world.metrics.text()).toMatch(/^belfry_store_used_ratio 0\.[89]/m)
  expect(await world.metrics.text()).toMatch(/^belfry_store_pressure 1$/m)
  await pulse.next()
  await pulse.stop()

  await ballast(12)
  await using writer = connect(world.url)
  const attempt = Promise.allSettled([
    writer.publish({ topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 60 }),
  ])
  await eventually(async () =>
    expect(await ready()).toMatchObject({
      status: 503,
      body: { ready: false, reasons: ['Redis is full: maxmemory is reached'], pressure: 'full' },
    }),
  )
  expect((await world.http('GET', '/health')).status).toBe(200)
  expect(lines.filter((one) => one === 'The store does not take writes')).toHaveLength(1)

  await remove(12)
  await remove(21)
  await eventually(async () => expect((await ready()).body).toMatchObject({ ready: true }))
  await eventually(async () => expect((await ready()).body).not.toHaveProperty('pressure'))
  await attempt
  expect(lines).toContain('The store takes writes again')
}, 120_000)
