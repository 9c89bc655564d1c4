/**
 * Wake-ups only save time. Here Redis' publish/subscribe is really cut, by its own access list or by killing every
 * connection that listens, and what one process stores is still brought to those who wait at another one.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { composeServer, type RunningServer } from '../../src/server/compose.ts'
import { type Config, configWith } from '../../src/server/config/config.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { freePort } from '../support/process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { enrolled, newDevice, postNotification } from '../support/story.ts'
import { connect, randomMessage, randomTopic } from '../support/world/scripted-relay.ts'

/** Above the relay's periodic look (10 s), and far below it. */
const CAUGHT_UP = 20_000
/** Messages one after the other: without wake-ups each waits for a look of its own, 10 s after the one before. */
const TOLD_AT_ONCE = 6
const TOLD_MS = 40_000

/** A Redis, and what was started on it, which ends with it. */
interface Ground extends AsyncDisposable {
  dir: string
  redis: RedisServer
  running: AsyncDisposable[]
}

const startGround = async (): Promise<Ground> => {
  const dir = mkdtempSync(join(tmpdir(), 'belfry-wakeups-'))
  const redis = await startRedis()
  const running: AsyncDisposable[] = [redis]
  return {
    ...{ dir, redis, running },
    async [Symbol.asyncDispose]() {
      for (const one of running.reverse()) await one[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const start = async (
  { dir, redis, running }: Ground,
  name: string,
  config: Partial<Config>,
): Promise<RunningServer> => {
  const server = await composeServer(
    configWith({
      port: 0,
      host: '127.0.0.1',
      data: join(dir, name),
      metrics: 'off',
      redisUrl: redis.url,
      secret: 'a secret that processes share',
      ...config,
    }),
  )
  running.push(server)
  await server.ready()
  return server
}
const startRelays = (ground: Ground) =>
  Promise.all(['one', 'two'].map((name) => start(ground, name, { rooms: ['relay'] })))

/** How many channels each connection listens to, all together: those of every process. */
const listening = async ({ redis }: Ground) =>
  [...(await redis.cli('client', 'list', 'type', 'pubsub')).matchAll(/ ssub=(\d+)/g)].reduce(
    (sum, [, channels]) => sum + Number(channels),
    0,
  )
/** Redis refuses every channel, and ends the connections that listen. Answers how many channels they listened to. */
const cut = async (ground: Ground) => {
  await eventually(async () => expect(await listening(ground)).toBeGreaterThan(0))
  const before = await listening(ground)
  await ground.redis.cli('acl', 'setuser', 'default', 'resetchannels')
  await eventually(async () => expect(await listening(ground)).toBe(0))
  return before
}
const mend = ({ redis }: Ground) => redis.cli('acl', 'setuser', 'default', 'allchannels')

/** A subscriber at the first relay and a publisher at the second. */
const talk = async (ground: Ground) => {
  const [one, two] = await startRelays(ground)
  if (!one || !two) throw new Error('there are two')
  const received: { text: string; at: number }[] = []
  const reader = connect(one.loopbackUrl, {
    onMessage: ({ message }) => void received.push({ text: message, at: Date.now() }),
  })
  const writer = connect(two.loopbackUrl)
  ground.running.push(reader, writer)
  const topic = randomTopic()
  await reader.subscribe([topic])
  const publish = (message: string) => writer.publish({ topic, message, tag: 4002, ttl: 300 })
  const texts = () => received.map(({ text }) => text)
  return { publish, texts }
}

// What is late waits for a look that comes every 10 s: all of them wait at once.
describe.concurrent('a message for somebody at another relay', () => {
  it('is late when Redis tells nobody of it, in its order, and in time again when it does', async () => {
    await using ground = await startGround()
    const { publish, texts } = await talk(ground)
    const messages = Array.from({ length: 50 }, () => randomMessage())
    const before = await cut(ground)
    for (const message of messages) await publish(message)
    expect(await listening(ground)).toBe(0)
    await eventually(() => expect(texts()).toEqual(messages), CAUGHT_UP)
    expect(await listening(ground)).toBe(0)

    await mend(ground)
    // Both processes listen again, not only the first one that tried.
    await eventually(async () => expect(await listening(ground)).toBeGreaterThanOrEqual(before), CAUGHT_UP)
    const mendedAt = Date.now()
    for (let at = 0; at < TOLD_AT_ONCE; at++) {
      const next = randomMessage()
      await publish(next)
      await eventually(() => expect(texts()).toContain(next))
    }
    expect(Date.now() - mendedAt).toBeLessThan(TOLD_MS)
  }, 120_000)

  it('arrives although every connection that listens is killed again and again', async () => {
    await using ground = await startGround()
    const { publish, texts } = await talk(ground)
    const messages = Array.from({ length: 1_000 }, () => randomMessage())
    let killed = 0
    let isOver = false
    const killing = (async () => {
      while (!isOver) killed += Number(await ground.redis.cli('client', 'kill', 'type', 'pubsub'))
    })()
    for (let at = 0; at < messages.length; at += 20) {
      await Promise.all(messages.slice(at, at + 20).map(publish))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await eventually(() => expect(texts().length).toBeGreaterThanOrEqual(messages.length), CAUGHT_UP)
    await eventually(() => expect(killed).toBeGreaterThan(10))
    isOver = true
    await killing
    expect([...texts()].sort()).toEqual([...messages].sort())
  }, 120_000)
})

it('a notification is delivered by another process that was not told of it', async () => {
  await using ground = await startGround()
  const [near, far] = await startRelays(ground)
  if (!near || !far) throw new Error('there are two')
  const ports = [await freePort(), await freePort()]
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const [idle, busy] = await Promise.all(
    [near, far].map((relay, at) =>
      start(ground, `notify-${at}`, {
        port: ports[at] ?? 0,
        rooms: ['notify', 'keys'],
        relayUrl: relay.loopbackUrl,
        relayShared: true,
        publicUrl: urls[1],
        aliases: urls,
      }),
    ),
  )
  if (!idle || !busy) throw new Error('there are two')
  const added = await fetch(`${busy.loopbackUrl}/admin/apps`, {
    method: 'POST',
    headers: { authorization: `Bearer ${busy.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ domain: 'app.example.com', types: [{ name: 'News' }, { name: 'More' }] }),
  })
  const app = enrolled.parse(await added.json())
  const owner = newOwner()
  const device = newDevice({ url: busy.loopbackUrl, wsUrl: far.wsUrl }, owner)
  ground.running.push(device)
  const bodies: string[] = []
  device.on('message', ({ notification }) => void bodies.push(notification.body))
  await device.watch()
  await device.subscribe('app.example.com', [app.types[0]?.id ?? ''])

  // The one that takes the notification has no relay, so the other one must find it.
  await near.stop()
  await eventually(async () => expect((await fetch(`${idle.loopbackUrl}/ready`)).status).toBe(503))
  await cut(ground)
  await postNotification({ url: idle.loopbackUrl }, app, {
    id: 'n',
    body: 'found',
    accounts: [owner.account],
  })
  await eventually(() => expect(bodies).toEqual(['found']), CAUGHT_UP)
  expect(await listening(ground)).toBe(0)
}, 60_000)
