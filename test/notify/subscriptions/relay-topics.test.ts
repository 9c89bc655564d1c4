/** Which topics the server is on, also on a relay that forgets. */
import { expect, it } from 'vitest'
import { createRelayTopics } from '../../../src/notify/subscriptions/relay-topics.ts'
import type { Clock } from '../../../src/platform/runtime/clock.ts'
import { silent } from '../../../src/platform/telemetry.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { createLeaderElection } from '../../../src/server/leader-election.ts'
import type { Leases } from '../../../src/storage/leases.ts'
import { eventually } from '../../support/eventually.ts'
import { startNotify, type View } from '../../support/world/notify.ts'
import { leapingClock } from '../support/clock.ts'

/** On duty whenever it asks, by leases of its own. */
const alone = (clock: Clock, leases: Leases) =>
  createLeaderElection({ leases, clock, log: silent }, 'me')('a renewal of its own')

it('the server is on its own topic and on those of all apps when it is ready, after a restart too', async () => {
  await using world = await startNotify()
  const apps = await Promise.all(['a.example', 'b.example', 'c.example'].map((domain) => world.enrol(domain)))
  const topics = [world.address, world.app, ...apps].map(({ publicKey }) => topicOf(publicKey))
  expect(world.loop.topics).toEqual(new Set(topics))
  await world.restart()
  expect(world.loop.topics).toEqual(new Set(topics))
})

it('on a relay that forgets, notify topics are joined again, and failures are repeated', async () => {
  await using world = await startNotify()
  const devices = Array.from({ length: 5 }, () => world.newDevice())
  const keys = await Promise.all(
    devices.map(async (device) => {
      const { claims } = await world.ask(device.subscribe(world.app, []))
      return (claims.sbs as View[])[0]?.symKey ?? ''
    }),
  )
  const wanted = keys.map((key) => topicOf(fromHex(key)))

  const clock = leapingClock()
  const joined: string[] = []
  let failures = 2
  const relay = {
    connected: true,
    onConnectionChange: () => ({ [Symbol.dispose]() {} }),
    ready: async () => {},
    subscribe: async (topics: readonly string[]) => {
      if (failures-- > 0) throw new Error('not now')
      joined.push(...topics)
    },
  }
  await using relayTopics = createRelayTopics(
    { store: world.store, relay, leaderTask: alone(clock, world.leases), clock, log: silent },
    { serverTopics: () => ['the server'], renew: true },
  )
  expect(relayTopics.isReady).toBe(false)
  const until = (check: () => void) =>
    eventually(async () => {
      await clock.advance(3_600_000)
      check()
    })
  await until(() => expect(joined).toEqual(expect.arrayContaining(['the server', ...wanted])))
  await relayTopics.ready()
  expect(relayTopics.isReady).toBe(true)
  joined.length = 0
  await until(() => expect(joined).toEqual(expect.arrayContaining(['the server', ...wanted])))
})

it('ready rejects when the server is closed before', async () => {
  await using world = await startNotify()
  const relayTopics = createRelayTopics(
    {
      store: { apps: async () => [], topics: async () => [] },
      relay: {
        connected: false,
        onConnectionChange: () => ({ [Symbol.dispose]() {} }),
        ready: () => Promise.reject(new Error('closed')),
        subscribe: async () => {},
      },
      leaderTask: alone(leapingClock(), world.leases),
      clock: leapingClock(),
      log: silent,
    },
    { serverTopics: () => ['the server'], renew: false },
  )
  const ready = relayTopics.ready()
  await relayTopics[Symbol.asyncDispose]()
  await expect(ready).rejects.toThrow('closed before it was ready')
})
