import { Cluster, Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SUBSCRIPTION_LEASE_MS, type Wake } from '../../../src/relay/store.ts'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { parseRedisUrl } from '../../../src/storage/redis/url.ts'
import {
  client,
  hex,
  MINUTE,
  message,
  stored,
  T,
  textsOf,
  topic,
  waitingTopics,
  watchOf,
} from '../../contract/relay-samples.ts'
import { eventually } from '../../support/eventually.ts'
import { sharedServers } from '../../support/redis.ts'

const a = topic('a')
const owned = topic('owned')
const [alice, bob, carol] = [client('alice'), client('bob'), client('carol')]
const DAY = 86_400_000
type Stores = Awaited<ReturnType<typeof openRedis>>

let files = 0

for (const [name, server] of sharedServers) {
  describe(`relay stores of two processes on ${name}`, () => {
    let one: Stores
    let two: Stores
    let prefix: string
    let raw: Redis | Cluster

    beforeEach(async () => {
      const { url } = await server()
      files += 1
      prefix = `belfry-relay-${process.pid}-${files}:`
      one = await openRedis({ url, prefix })
      two = await openRedis({ url, prefix })
      const { hosts, isCluster } = parseRedisUrl(url)
      raw = isCluster ? new Cluster(hosts) : new Redis(url)
      await Promise.all([one.ping(), two.ping()])
    })
    afterEach(async () => {
      await one[Symbol.asyncDispose]()
      await two[Symbol.asyncDispose]()
      raw.disconnect()
    })

    /** All keys of this test, by scanning. */
    const keysLeft = async (): Promise<string[]> => {
      const nodes = raw instanceof Cluster ? raw.nodes('master') : [raw]
      const found: string[] = []
      for (const node of nodes) {
        for await (const page of node.scanStream({ match: `${prefix}*`, count: 1000 })) found.push(...page)
      }
      return found.map((key) => key.slice(prefix.length)).sort()
    }
    const ttl = (key: string) => raw.pttl(`${prefix}${key}`)

    it('wake each other and not themselves', async () => {
      const [first, second]: Wake[][] = [[], []]
      using _one = one.relay.onWake((wake) => first?.push(wake))
      using _two = two.relay.onWake((wake) => second?.push(wake))
      await one.relay.subscribe(alice, [a], { now: T })
      await eventually(async () => {
        await one.relay.publish([message(a, `${Math.random()}`)])
        expect(second).toContainEqual({ topic: a, clientIds: [alice] })
      })
      expect(first).toEqual([])
      await eventually(async () => {
        await two.relay.publish([message(a, `${Math.random()}`)])
        expect(first).toContainEqual({ topic: a, clientIds: [alice] })
      })
    })

    it('wake everybody once more for a duplicate that still waits', async () => {
      const [here, there]: Wake[][] = [[], []]
      using _one = one.relay.onWake((wake) => here?.push(wake))
      using _two = two.relay.onWake((wake) => there?.push(wake))
      await one.relay.subscribe(alice, [a], { now: T })
      await stored(one.relay, message(a, '1'))
      expect(here).toEqual([])
      await eventually(async () => {
        expect(await one.relay.publish([message(a, '1')])).toEqual([
          { outcome: 'duplicate', waiting: [alice] },
        ])
        expect(here).toContainEqual({ topic: a, clientIds: [alice] })
        expect(there).toContainEqual({ topic: a, clientIds: [alice] })
      })
    })

    it('tell each other of changed watches', async () => {
      const told: string[] = []
      using _two = two.relay.onWatch((clientId) => told.push(clientId))
      const watch = watchOf('alice')
      await eventually(async () => {
        await one.relay.watch(watch, { now: T, limit: 1 })
        expect(told).toContain(watch.clientId)
      })
      expect(await two.relay.watches([watch.clientId], T)).toEqual([watch])
      // What a client has ends with it: to the hour, and an hour later for clocks that differ.
      const [own = '', ...others] = (await keysLeft()).filter((key) => key.includes(watch.clientId))
      expect(others).toEqual([])
      expect(await ttl(own)).toBeGreaterThan(MINUTE)
      expect(await ttl(own)).toBeLessThanOrEqual(120 * MINUTE)
    })

    it('let one of a hundred racers win', async () => {
      const race = <R>(run: (stores: Stores, at: number) => Promise<R>) =>
        Promise.all(Array.from({ length: 100 }, (_, at) => run(at % 2 === 0 ? one : two, at)))
      const published = await race(({ relay }) => relay.publish([message(a, '1')]))
      expect(published.flat().filter(({ outcome }) => outcome === 'stored')).toHaveLength(1)
      const { seq } = await stored(one.relay, message(a, '2'))
      const claimed = await race(({ relay }, at) =>
        relay.claim(alice, a, seq, { holder: `${at}`, now: T, until: T + MINUTE }),
      )
      expect(claimed.filter(Boolean)).toHaveLength(1)
      const joined = await Promise.allSettled(
        Array.from({ length: 100 }, (_, at) =>
          (at % 2 === 0 ? one : two).relay.subscribe(alice, [topic(`${at}`)], { now: T, limit: 1 }),
        ),
      )
      expect(joined.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      const numbered = await race(({ relay }, at) => stored(relay, message(a, `racer ${at}`)))
      expect(new Set(numbered.map((publication) => publication.seq)).size).toBe(100)
      await race(({ relay }, at) => relay.acknowledge(bob, [{ topic: a, id: hex(`racer ${at}`) }]))
      expect(await textsOf(one.relay, bob, a)).toEqual(['1', '2'])
    })

    it('store again what another one has dropped, and keep it', async () => {
      const { url } = await server()
      await using small = await openRedis({ url, prefix, mailbox: { messages: 1, bytes: 1_000 } })
      await small.relay.subscribe(alice, [a], { now: T })
      for (let round = 0; round < 20; round++) {
        const text = `${round % 2}`
        await stored(small.relay, message(a, text))
        expect(await textsOf(small.relay, bob, a)).toEqual([text])
        await small.relay.acknowledge(alice, [{ topic: a, id: hex(text) }])
      }
      expect((await keysLeft()).filter((key) => key.startsWith(`{t:${a}}`))).toHaveLength(2)
    })

    it('leave nothing that does not go by itself, but subscriptions', async () => {
      await one.relay.subscribe(alice, [a], { now: T })
      const { seq } = await stored(one.relay, message(a, '1'))
      await stored(one.relay, message(topic('nobody'), '1'))
      await one.relay.acknowledge(bob, [{ topic: a, id: hex('1') }])
      await one.relay.claim(alice, a, seq, { holder: 'x', now: T, until: T + MINUTE })
      await one.relay.subscribe(carol, [owned], { now: T, exclusive: true })
      const lasting: string[] = []
      for (const key of await keysLeft()) if ((await ttl(key)) === -1) lasting.push(key)
      // A sweep ends them: a topic by its first message, a client by the day on which it was last seen.
      const isIndex = (key: string) => key.startsWith('{due:') || key.startsWith('{seen:')
      const subscriptions = [`{c:${alice}}:t`, `{c:${carol}}:t`, `{t:${a}}`, `{t:${owned}}`].sort()
      expect(lasting.filter((key) => !isIndex(key))).toEqual(subscriptions)
      await one.relay.unsubscribe(carol, [owned])
      expect((await keysLeft()).filter((key) => key.includes(carol) || key.includes(owned))).toEqual([])

      await one.relay.unsubscribe(alice, [a])
      const kept = (await keysLeft()).filter((key) => !isIndex(key))
      expect(kept.length).toBeGreaterThan(0)
      for (const key of kept) {
        expect(await ttl(key)).toBeGreaterThan(MINUTE)
        expect(await ttl(key)).toBeLessThanOrEqual(2 * MINUTE)
      }
      // Somebody comes back: the topic must not vanish under them.
      await one.relay.subscribe(alice, [a], { now: T })
      expect(await ttl(`{t:${a}}`)).toBe(-1)
      await one.relay.unsubscribe(alice, [a])
      expect(await one.relay.sweep(T + MINUTE, 100)).toBe(2)
      const left = (await keysLeft()).filter((key) => !key.startsWith(`{t:${a}}:${seq}`))
      expect(left.filter((key) => !key.startsWith('{seen:'))).toEqual([])

      // What is still subscribed, owned or noted ends with the lease.
      await one.relay.subscribe(alice, [a], { now: T })
      await one.relay.subscribe(carol, [owned], { now: T, exclusive: true })
      expect(await one.relay.sweep(T + SUBSCRIPTION_LEASE_MS - 2 * DAY, 100)).toBe(0)
      expect(await one.relay.sweep(T + SUBSCRIPTION_LEASE_MS + 2 * DAY, 100)).toBe(2)
      expect((await keysLeft()).filter((key) => !key.startsWith(`{t:${a}}:${seq}`))).toEqual([])
    })

    it('give hints to a client of many topics, and miss nothing while it becomes one', async () => {
      const many = Array.from({ length: 400 }, (_, at) => topic(`many ${at}`))
      const publish = (text: string) => two.relay.publish(many.map((of) => message(of, text)))
      // While some subscribe here and some there, others are published to.
      await Promise.all([
        ...many.map((of, at) => (at % 2 === 0 ? one : two).relay.subscribe(alice, [of], { now: T })),
        publish('1'),
      ])
      expect((await waitingTopics(one.relay, alice)).sort()).toEqual([...many].sort())
      expect(await raw.get(`${prefix}{c:${alice}}:h`)).toBe('ready')

      const acknowledge = (text: string, topics: readonly string[]) =>
        two.relay.acknowledge(
          alice,
          topics.map((of) => ({ topic: of, id: hex(text) })),
        )
      await acknowledge('1', many)
      expect(await waitingTopics(one.relay, alice)).toEqual([])
      expect(await raw.exists(`${prefix}{c:${alice}}:w`)).toBe(0)

      await publish('2')
      await acknowledge('2', many.slice(3))
      expect((await waitingTopics(one.relay, alice)).sort()).toEqual(many.slice(0, 3).sort())
      await one.relay.unsubscribe(alice, many.slice(0, 2))
      expect(await waitingTopics(one.relay, alice)).toEqual(many.slice(2, 3))
      await one.relay.subscribe(alice, many.slice(0, 2), { now: T })
      expect((await waitingTopics(one.relay, alice)).sort()).toEqual(many.slice(0, 3).sort())
      await one.relay.unsubscribe(alice, many)
      expect((await keysLeft()).filter((key) => key.startsWith('{c:'))).toEqual([])
    })

    it('find what lies beyond thousands of messages that are gone', async () => {
      const { url } = await server()
      await using large = await openRedis({ url, prefix, mailbox: { messages: 5_000, bytes: 16_000_000 } })
      await one.relay.subscribe(alice, [a], { now: T })
      await stored(one.relay, message(a, 'long', { expiresAt: T + 10 * MINUTE }))
      for (let from = 0; from < 3000; from += 500) {
        await large.relay.publish(Array.from({ length: 500 }, (_, at) => message(a, `short ${from + at}`)))
      }
      while ((await one.relay.sweep(T + MINUTE, 1000)) > 0);
      const later = { publishedAt: T + MINUTE, expiresAt: T + 2 * MINUTE }
      await stored(one.relay, message(a, 'later', later))
      expect(await textsOf(two.relay, alice, a, { now: T + MINUTE })).toEqual(['long', 'later'])
      await two.relay.acknowledge(alice, [{ topic: a, id: hex('long') }])
      const { subscribers } = await stored(one.relay, message(a, 'last', later))
      expect(subscribers).toEqual([{ clientId: alice, caughtUp: false }])
      await two.relay.acknowledge(alice, [
        { topic: a, id: hex('later') },
        { topic: a, id: hex('last') },
      ])
      expect(await waitingTopics(two.relay, alice, T + MINUTE)).toEqual([])
    })

    it('go on when Redis has forgotten their scripts', async () => {
      await stored(one.relay, message(a, '1'))
      for (const node of raw instanceof Cluster ? raw.nodes('master') : [raw]) await node.script('FLUSH')
      const texts = Array.from({ length: 50 }, (_, at) => `after ${at}`)
      await Promise.all(texts.map((text) => stored(one.relay, message(a, text))))
      expect((await textsOf(two.relay, alice, a)).sort()).toEqual(['1', ...texts].sort())
    })
  })
}
