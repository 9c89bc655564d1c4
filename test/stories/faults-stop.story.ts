import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startFleet } from '../support/fleet.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { startBalancer } from '../support/world/balancer.ts'
import { CALLS, startTraffic } from './faults.ts'

const STOPPED = crowd(60_000, 32_000)
/** What is sent while its way to the relay is closed: some of it by the one that is stopped then. */
const LAST_CALLS = 4
/** A worker that runs has sent what it took long before. */
const SENT_MS = 1_000

const HELD = `
local all = {}
for _, key in ipairs(redis.call('KEYS', '*}held')) do
  for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local entry = redis.call('HGET', string.sub(key, 1, -5) .. 'entries', id)
    if entry and string.find(entry, '"kind":"notification', 1, true) then
      all[#all + 1] = id .. ' ' .. redis.call('ZSCORE', key, id)
    end
  end
end
return all`

/** Entries for notifications, to one or to several, that somebody has taken: by id, when the lease ends, unix ms. */
const heldIn = async (redis: RedisServer): Promise<Map<string, number>> => {
  const lines = (await redis.cli('eval', HELD, '0')).split('\n').filter(Boolean)
  return new Map(lines.map((line) => [line.replace(/ \S+$/, ''), Number(line.split(' ').at(-1))]))
}

it(`takes over the work of a notify server that stands still for ${STOPPED / 1_000} s, and does nothing twice when it goes on`, {
  timeout: 300_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using gate = await startBalancer()
  await using fleet = await startFleet(redis.url, {
    aliases: [gate.url],
    relayUrlFor: (at, relayUrl) => {
      if (at !== 1) return relayUrl
      gate.leadTo([relayUrl])
      return gate.url
    },
  })
  // Nobody's request may be given up: what the stopped one had been handed must be answered by the other.
  await using traffic = await startTraffic(fleet, { requestTimeout: 100_000 })
  const [, stopped] = fleet.notifies
  if (!stopped) throw new Error('there are two')
  const { pid } = stopped.process
  let began = 0
  let leasedUntil = Number.POSITIVE_INFINITY
  // It is stopped between taking and sending: what it sends meanwhile does not reach the relay.
  await traffic.strike(CALLS, async () => {
    gate.close()
    await traffic.post(LAST_CALLS)
    process.kill(pid, 'SIGSTOP')
    began = Date.now()
    const held = await heldIn(redis)
    await sleep(SENT_MS)
    const kept = [...(await heldIn(redis))].filter(([id, until]) => held.get(id) === until)
    expect(kept).not.toEqual([])
    leasedUntil = Math.min(...kept.map(([, until]) => until))
  })
  // Everything that was accepted arrives while it stands still: what it had taken, once its lease is over.
  await traffic.arrived()
  expect(Date.now()).toBeGreaterThanOrEqual(leasedUntil)
  await sleep(Math.max(0, began + STOPPED - Date.now()))
  // What it had sent comes to the relay now, and so does what it goes on with.
  await traffic.strike(CALLS, async () => {
    gate.open()
    process.kill(pid, 'SIGCONT')
  })
  expect(stopped.process.pid).toBe(pid)
  expect(traffic.posted.length).toBe(2 * CALLS + LAST_CALLS)
  await traffic.settle()
  expect(traffic.repeated()).toEqual([])
  expect(traffic.told.wallet).toBe(0)
})
