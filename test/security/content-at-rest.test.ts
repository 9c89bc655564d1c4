/** Who takes a copy of the store, and not the secret, reads no text of a dapp or an agent in it. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { mqClient } from '../../src/mq/client.ts'
import { createContentSeal } from '../../src/platform/content-seal.ts'
import { newAgent } from '../mq/agents.ts'
import { newDevice } from '../stories/town.ts'
import { eventually } from '../support/eventually.ts'
import { startRedis } from '../support/redis.ts'
import { startWorld, type World } from '../support/world.ts'

const DOMAIN = 'rest.example.com'
const WORDS = {
  title: 'Title-of-rest',
  body: 'Body-of-rest',
  icon: 'https://i.example.com/icon-of-rest',
  url: 'https://u.example.com/url-of-rest',
}
const MESSAGE = 'Message-of-rest'

/** All words go through the server, to a device that gets them and a queue that keeps one of them. */
const write = async (world: World) => {
  const app = await world.addApp(DOMAIN, { types: [{ name: 'News', description: 'new' }] })
  const type = app.types[0]?.id ?? ''
  const device = newDevice(world)
  const received: unknown[] = []
  device.on('message', ({ notification }) => void received.push(notification))
  await device.watch()
  await device.subscribe(DOMAIN, [type])
  const { status, body } = await world.http('POST', `/${app.projectId}/notify`, {
    token: app.secret ?? '',
    body: { notification_id: 'one', notification: { type, ...WORDS }, accounts: [device.account] },
  })
  expect({ status, body }).toMatchObject({ status: 200, body: { sent: [device.account] } })
  await eventually(() =>
    expect(received).toMatchObject([{ title: WORDS.title, body: WORDS.body, url: WORDS.url }]),
  )
  expect((await device.history(DOMAIN)).notifications).toMatchObject([
    { title: WORDS.title, body: WORDS.body },
  ])
  await device[Symbol.asyncDispose]()

  const [ann, ben] = [newAgent(), newAgent()]
  await mqClient({ url: world.url, ...ann }).put(ben.did, MESSAGE)
  const reader = mqClient({ url: world.url, ...ben })
  expect(await reader.peek()).toMatchObject({ text: MESSAGE })
  return { app, reader }
}

const found = (bytes: Buffer): string[] =>
  [...Object.values(WORDS), MESSAGE].filter((word) => bytes.includes(word))

it('in the file of the embedded store', async () => {
  await using world = await startWorld()
  const { app, reader } = await write(world)
  await world.restart(() => {
    expect(found(readFileSync(join(world.dataDir, 'store', 'data.mdb')))).toEqual([])
  })
  expect(await reader.take()).toMatchObject({ text: MESSAGE })
  const shown = await world.http('GET', `/v1/${app.projectId}/notifications/one`, { token: app.secret ?? '' })
  expect(shown.body).toMatchObject({ notification: { title: WORDS.title } })
})

it('in the keys of a Redis', async () => {
  await using redis = await startRedis()
  await using world = await startWorld({
    config: { redisUrl: redis.url, secret: randomBytes(32).toString('hex') },
  })
  await write(world)
  const client = new Redis(redis.url)
  try {
    const dumps = await Promise.all(
      (await client.keys('*')).map(async (key) => {
        const type = await client.type(key)
        if (type === 'hash') return Buffer.concat(Object.values(await client.hgetallBuffer(key)))
        if (type === 'string') return (await client.getBuffer(key)) ?? Buffer.alloc(0)
        if (type === 'zset') return Buffer.concat(await client.zrangeBuffer(key, 0, -1))
        if (type === 'list') return Buffer.concat(await client.lrangeBuffer(key, 0, -1))
        return (await client.dumpBuffer(key)) ?? Buffer.alloc(0)
      }),
    )
    expect(dumps.length).toBeGreaterThan(10)
    expect(found(Buffer.concat(dumps))).toEqual([])
  } finally {
    client.disconnect()
  }
})

describe('a sealed text', () => {
  const seal = createContentSeal(randomBytes(32), (length) => randomBytes(length))

  it('opens where it was put, and nowhere else', () => {
    const sealed = seal.seal(['mq', 'default', 'one'], 'text ✓')
    expect(sealed).not.toBe(seal.seal(['mq', 'default', 'one'], 'text ✓'))
    expect(seal.open(['mq', 'default', 'one'], sealed)).toBe('text ✓')
    expect(() => seal.open(['mq', 'default', 'two'], sealed)).toThrow('another place')
    expect(() => seal.open(['mq', 'default'], sealed)).toThrow('another place')
  })

  it('does not open when it was changed, or with another root', () => {
    const sealed = seal.seal(['a'], 'text')
    expect(() => seal.open(['a'], `${sealed.slice(0, -2)}AA`)).toThrow()
    const other = createContentSeal(randomBytes(32), (length) => randomBytes(length))
    expect(() => other.open(['a'], sealed)).toThrow()
  })

  it('that was written before there were seals is answered as it is', () => {
    expect(seal.open(['a'], 'plain')).toBe('plain')
  })
})
