/** What one address leaves in the store is bounded, and ends by itself. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Peer } from '../../scripts/bench/peer.ts'
import { DEFAULT_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { RELAY_LIMITS } from '../../src/relay/limits.ts'
import { SUBSCRIPTION_LEASE_MS } from '../../src/relay/store.ts'
import { eventually } from '../support/eventually.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { startWorld } from '../support/world.ts'
import { startPulse } from './pulse.ts'
import {
  connectFrom,
  MONTH_S,
  movableClock,
  randomTopic,
  STRANGER,
  startBystander,
} from './relay-attackers.ts'
import { median } from './strangers-http.ts'

const MIB = 1024 * 1024
const DAY_MS = 86_400_000
const BUDGET = DEFAULT_BUDGETS.state ?? 0
/** A quarter of the default, so that it is reached soon. */
const SMALL_BUDGET = BUDGET / 4
const UNATTENDED_MS = RELAY_LIMITS.unattendedTtlMs

const onLmdb = async (budgets = DEFAULT_BUDGETS) => {
  const clock = movableClock()
  const world = await startWorld({ clock, config: { budgets } })
  const held = async () => (await stat(join(world.dataDir, 'store', 'data.mdb'))).blocks * 512
  return { clock, world, held, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

const onRedis = async (budgets = DEFAULT_BUDGETS) => {
  const redis: RedisServer = await startRedis()
  const clock = movableClock()
  const config = { budgets, redisUrl: redis.url, secret: 'ab'.repeat(32) }
  const world = await startWorld({ clock, config })
  const held = async () => Number(/^used_memory_dataset:(\d+)/m.exec(await redis.cli('info', 'memory'))?.[1])
  return {
    ...{ clock, world, held },
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]()
      await redis[Symbol.asyncDispose]()
    },
  }
}

for (const [name, start] of [
  ['LMDB', onLmdb],
  ['Redis', onRedis],
] as const) {
  it(`subscriptions of a client are bounded, and end with its lease, on ${name}`, async () => {
    // With enough work for all of it at once: what bounds it is the count alone.
    await using ground = await start({ ...DEFAULT_BUDGETS, work: { burst: 100_000, seconds: 60 } })
    const { world, clock } = ground
    const { relay } = world.stores
    using bystander = await startBystander(world.wsUrl)
    const key = generateSigningKey()
    const stranger = await connectFrom(STRANGER, world.wsUrl, { key })
    let made = 0
    let requests = 0
    let isOver = false
    const greed = async () => {
      for (;;) {
        const topics = Array.from({ length: 500 }, randomTopic)
        await stranger.request('irn_batchSubscribe', { topics })
        requests += 1
        made += topics.length
      }
    }
    /** Requests of the stranger that were answered during a beat, by count: both have the same core. */
    const beats = (async () => {
      const meanwhile: number[] = []
      while (!isOver) {
        const before = requests
        await bystander.beat()
        meanwhile.push(requests - before)
      }
      return median(meanwhile)
    })()
    await expect(greed()).rejects.toThrow(`more than ${RELAY_LIMITS.topicsPerClient} topics`)
    isOver = true
    // Who waits for the stranger to have done waits for all of them.
    expect(await beats).toBeLessThan(requests / 2)
    expect(made).toBe(RELAY_LIMITS.topicsPerClient)
    const most = { limit: 2 * made }
    expect(await relay.topicsOf(key.did, most)).toHaveLength(made)
    stranger.close()

    // That the client was here is written within a second, and dated then: perhaps after the first of these moves.
    await eventually(async () => {
      clock.move(SUBSCRIPTION_LEASE_MS + 2 * DAY_MS)
      while ((await relay.sweep(clock.now(), 1_000)) > 0);
      expect(await relay.topicsOf(key.did, most)).toEqual([])
    })
  }, 60_000)

  it(`what an address publishes to nobody is bounded, and gone after a quarter of an hour, on ${name}`, async () => {
    await using ground = await start({ ...DEFAULT_BUDGETS, state: SMALL_BUDGET })
    const { world, clock, held } = ground
    const { relay } = world.stores
    using bystander = await startBystander(world.wsUrl)
    const before = await held()
    const stranger = await connectFrom(STRANGER, world.wsUrl)
    const filler = 'x'.repeat(240 * 1024)
    const topics: string[] = []
    // More than the address may keep, and more than the bound below.
    for (let sent = 0; sent < 3 * SMALL_BUDGET; ) {
      const batch = Array.from({ length: 16 }, () => {
        const topic = randomTopic()
        topics.push(topic)
        sent += filler.length
        return stranger.request('irn_publish', { topic, message: `${topic}${filler}`, ttl: MONTH_S, tag: 1 })
      })
      const [, ...answers] = await Promise.all([bystander.beat(), ...batch])
      expect(answers.every((answer) => answer === true)).toBe(true)
    }
    expect((await held()) - before).toBeLessThan(1.25 * SMALL_BUDGET + 8 * MIB)
    const page = { after: 0, limit: 1, maxBytes: MIB }
    const left = async () => {
      let count = 0
      for (const topic of topics) {
        count += (await relay.pending('did:key:nobody', topic, { ...page, now: clock.now() })).messages.length
      }
      return count
    }
    const stored = await left()
    expect(stored).toBeGreaterThan(0)
    expect(stored * filler.length).toBeLessThanOrEqual(SMALL_BUDGET)

    clock.move(UNATTENDED_MS + 1_000)
    let swept = 0
    for (let piece = 1_000; piece > 0; ) {
      piece = await relay.sweep(clock.now(), 1_000)
      swept += piece
    }
    expect(swept).toBeGreaterThanOrEqual(stored)
    expect(await left()).toBe(0)
    await bystander.beat()
    stranger.close()
  }, 60_000)

  it(`what an address publishes at full speed is bounded in bytes, on ${name}`, async () => {
    // An eighth of the default, so that it is reached soon.
    await using ground = await start({ ...DEFAULT_BUDGETS, state: BUDGET / 8 })
    const { world, clock, held } = ground
    // Slowly enough for the work of its own address, however fast the machine is.
    await using pulse = await startPulse(world, { everyMs: 200 })
    const before = await held()
    const filler = 'x'.repeat(240 * 1024)
    // Four times the budget at once, and as much again in a quarter of an hour.
    const atOnce = (BUDGET / 8) * 4
    const begun = clock.now()
    let sent = 0
    const publish = async (peer: Peer) => {
      const messages = Array.from({ length: 4 }, () => {
        const topic = randomTopic()
        return { topic, message: `${topic}${filler}`, ttl: 60, tag: 1 }
      })
      sent += messages.length * filler.length
      // True also for what is dropped.
      expect(await peer.request('irn_batchPublish', { messages })).toBe(true)
    }
    const strangers = await Promise.all(Array.from({ length: 4 }, () => connectFrom(STRANGER, world.wsUrl)))
    await Promise.all(
      strangers.map(async (peer) => {
        while (sent < 2 * atOnce) await publish(peer)
      }),
    )
    const bound = atOnce * (1 + (clock.now() - begun) / 1000 / 900)
    expect(sent).toBeGreaterThan(1.5 * bound)
    expect((await held()) - before).toBeLessThan(1.25 * bound + 8 * MIB)
    await pulse.next()
    for (const peer of strangers) peer.close()
    await pulse.stop()
  }, 60_000)
}
