import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startFleet } from '../support/fleet.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { CALLS, startTraffic } from './faults.ts'

const STOPPED = crowd(60_000, 32_000)
/** How long taken work belongs to who took it, ms. */
const LEASE = 30_000
const MAX_STRIKES = 8
/** Some 3 s without work, or of work of which all was sent: longer than a wave has any. */
const MAX_ATTEMPTS = 50
/** A worker that runs has sent what it took long before. */
const SENT_MS = 1_000

const HELD = `
local all = {}
for _, key in ipairs(redis.call('KEYS', '*}held')) do
  for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local entry = redis.call('HGET', string.sub(key, 1, -5) .. 'entries', id)
    if entry and string.find(entry, '"kind":"notification', 1, true) then all[#all + 1] = id end
  end
end
return all`

/** Entries for notifications, to one or to several, that somebody has taken. */
const heldIn = async (redis: RedisServer): Promise<string[]> =>
  (await redis.cli('eval', HELD, '0')).split('\n').filter(Boolean)

/**
 * Stops the process while it has taken something: what is still held a while later was taken by it. Answers when; where it was
 * never found at work, it runs, and that is now: the next wave is another chance.
 */
const stopAtWork = async (redis: RedisServer, pid: number): Promise<number> => {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    process.kill(pid, 'SIGSTOP')
    const began = Date.now()
    const held = new Set(await heldIn(redis))
    if (held.size > 0) {
      await sleep(SENT_MS)
      if ((await heldIn(redis)).some((entry) => held.has(entry))) return began
    }
    process.kill(pid, 'SIGCONT')
    await sleep(50)
  }
  return Date.now()
}

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
  let strikes = 0
  // It is stopped between taking and sending. Where it had just sent what it had taken, nothing waits for its lease: it goes
  // on, and is stopped at the next work that comes.
  do {
    if (strikes > 0) process.kill(pid, 'SIGCONT')
    strikes += 1
    expect(strikes).toBeLessThanOrEqual(MAX_STRIKES)
    await traffic.strike(CALLS, async () => {
      began = await stopAtWork(redis, pid)
    })
    // Everything that was accepted arrives while it stands still: what it had taken, once its lease is over.
    await traffic.arrived()
  } while (Date.now() - began < LEASE / 2)
  await sleep(Math.max(0, began + STOPPED - Date.now()))
  await traffic.strike(CALLS, async () => void process.kill(pid, 'SIGCONT'))
  expect(stopped.process.pid).toBe(pid)
  expect(traffic.posted.length).toBe((strikes + 1) * CALLS)
  await traffic.settle()
  expect(traffic.repeated()).toEqual([])
  expect(traffic.told.wallet).toBe(0)
})
