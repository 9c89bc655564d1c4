/**
 * Redis restarts under load. Here it has `appendfsync always`: what it answered is on disk. With `everysec` a crash of
 * Redis alone takes back nothing that the kernel was given; a crash of the machine may take back the last second or two.
 */
import { expect, it } from 'vitest'
import { startFleet } from '../support/fleet.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { CALLS, startTraffic } from './faults.ts'

const SIGNALS = (['SIGTERM', 'SIGKILL', 'SIGKILL'] as const).slice(0, crowd(3, 2))

it('loses nothing and sends nothing twice when Redis is restarted under load', {
  timeout: 300_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true, config: ['--appendfsync', 'always'] })
  await using fleet = await startFleet(redis.url)
  await using traffic = await startTraffic(fleet)
  for (const signal of SIGNALS) {
    await traffic.strike(CALLS, async () => {
      await redis.stop(signal)
      await redis.restart()
    })
  }
  expect(traffic.posted.length).toBe(SIGNALS.length * CALLS)
  await traffic.settle()
  expect(traffic.repeated()).toEqual([])
})
