import { expect, it } from 'vitest'
import { startFleet } from '../support/fleet.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { CALLS, startTraffic } from './faults.ts'

const KILLS = crowd(3, 2)

for (const [what, membersOf] of [
  ['a relay', 'relays'],
  ['a notify server', 'notifies'],
] as const) {
  it(`loses nothing and sends nothing twice when ${what} is killed ${KILLS} times under load`, {
    timeout: 300_000,
  }, async () => {
    await using redis = await startRedis({ appendonly: true })
    await using fleet = await startFleet(redis.url)
    await using traffic = await startTraffic(fleet)
    for (let kill = 0; kill < KILLS; kill++) {
      const members = fleet[membersOf]
      await traffic.strike(CALLS, async () => members[kill % members.length]?.restart('SIGKILL'))
    }
    expect(traffic.posted.length).toBe(KILLS * CALLS)
    await traffic.settle()
    expect(traffic.repeated()).toEqual([])
  })
}
