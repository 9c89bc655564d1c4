import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startFleet } from '../support/fleet.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { startTraffic } from './faults.ts'

const CALLS = 50
const STOPPED = crowd(60_000, 32_000)
/** How long taken work belongs to who took it, ms. */
const LEASE = 30_000

it(`takes over the work of a notify server that stands still for ${STOPPED / 1_000} s, and does nothing twice when it goes on`, {
  timeout: 300_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using fleet = await startFleet(redis.url)
  // Nobody's request may be given up: what the stopped one had been handed must be answered by the other.
  await using traffic = await startTraffic(fleet, { requestTimeout: 100_000 })
  const [, stopped] = fleet.notifies
  if (!stopped) throw new Error('there are two')
  const { pid } = stopped.process
  let began = 0
  await traffic.strike(CALLS, async () => {
    process.kill(pid, 'SIGSTOP')
    began = Date.now()
  })
  // Everything that was accepted arrives while it stands still: what it had taken, once its lease is over.
  await traffic.arrived()
  expect(Date.now() - began).toBeGreaterThan(LEASE / 2)
  await sleep(Math.max(0, began + STOPPED - Date.now()))
  await traffic.strike(CALLS, async () => void process.kill(pid, 'SIGCONT'))
  expect(stopped.process.pid).toBe(pid)
  expect(traffic.posted.length).toBe(2 * CALLS)
  await traffic.settle()
  expect(traffic.repeated()).toEqual([])
  expect(traffic.told.wallet).toBe(0)
})
