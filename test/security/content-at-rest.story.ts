/** Who takes a copy of the store, and not the secret, reads no text of a dapp or an agent in it. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { mqClient } from '../../src/mq/client.ts'
import { createContentSeal } from '../../src/platform/runtime/content-seal.ts'
import { openEmbedded } from '../../src/server/stores/embedded.ts'
import { restore } from '../../src/storage/transfer/restore.ts'
import { newAgent } from '../mq/agents.ts'
import { eventually } from '../support/eventually.ts'
import { startRedis } from '../support/redis.ts'
import { newDevice } from '../support/story.ts'
import { startWorld, type World } from '../support/world.ts'

const DOMAIN = 'rest.example.com'
/** Every text that is written has it, and nothing else. */
const MARK = 'of-rest'
const WORDS = {
  title: 'Title-of-rest',
  body: 'Body-of-rest',
  icon: 'https://i.example.com/icon-of-rest',
  url: 'https://u.example.com/url-of-rest',
}
const WELCOME = { title: 'Welcome-of-rest', body: 'Greeting-of-rest', url: '/start-of-rest' }
const MESSAGE = 'Message-of-rest'
const HOUR_MS = 3_600_000

type Asked = { projectId: string; secret: string | null; type: string }

const asDapp = async (world: World, { secret }: Asked, method: string, path: string, body?: unknown) => {
  const answer = await world.http(method, path, { token: secret ?? '', ...(body !== undefined && { body }) })
  return { status: answer.status, body: answer.body }
}

/** For later, and for all: what waits in jobs, and stays there when it is over. */
const writeJobs = async (world: World, asked: Asked, accounts: string[]) => {
  const { projectId, type } = asked
  const later = new Date(Date.now() + HOUR_MS).toISOString()
  const scheduled = {
    ...{ notification_id: 'scheduled', deliver_at: later, accounts },
    notification: { ...WORDS, type, title: 'Scheduled-of-rest' },
  }
  expect(await asDapp(world, asked, 'POST', `/${projectId}/notify`, scheduled)).toMatchObject({ status: 200 })
  const path = `/v1/${projectId}/broadcasts`
  for (const [id, more] of [
    ['waits', { deliver_at: later }],
    ['over', {}],
  ] as const) {
    const broadcast = { notification_id: id, ...more, notification: { ...WORDS, type, title: 'All-of-rest' } }
    expect(await asDapp(world, asked, 'POST', path, broadcast)).toMatchObject({ status: 202 })
  }
  await eventually(async () =>
    expect(await asDapp(world, asked, 'GET', `${path}/over`)).toMatchObject({
      body: { status: 'done', handed: 1 },
    }),
  )
}

/** All words go through the server, to a device that gets them and a queue that keeps one of them. */
const write = async (world: World) => {
  const app = await world.addApp(DOMAIN, { types: [{ name: 'News', description: 'new' }] })
  const asked: Asked = { ...app, type: app.types[0]?.id ?? '' }
  const { type } = asked
  const welcome = { enabled: true, type, ...WELCOME }
  const welcomePath = `/v0/${app.projectId}/welcome-notification`
  expect(await asDapp(world, asked, 'POST', welcomePath, welcome)).toMatchObject({ status: 204 })
  expect(await asDapp(world, asked, 'GET', welcomePath)).toEqual({ status: 200, body: welcome })
  const device = newDevice(world)
  const received: unknown[] = []
  device.on('message', ({ notification }) => void received.push(notification))
  await device.watch()
  await device.subscribe(DOMAIN, [type])
  await eventually(() => expect(received).toMatchObject([WELCOME]))
  const { status, body } = await asDapp(world, asked, 'POST', `/${app.projectId}/notify`, {
    ...{ notification_id: 'one', notification: { type, ...WORDS }, accounts: [device.account] },
  })
  expect({ status, body }).toMatchObject({ status: 200, body: { sent: [device.account] } })
  await eventually(() => expect(received).toHaveLength(2))
  await writeJobs(world, asked, [device.account])
  await eventually(() =>
    expect(received).toMatchObject([
      WELCOME,
      { title: WORDS.title, body: WORDS.body, url: WORDS.url },
      { title: 'All-of-rest', body: WORDS.body },
    ]),
  )
  expect((await device.history(DOMAIN)).notifications.map(({ title }) => title).sort()).toEqual(
    ['All-of-rest', WORDS.title, WELCOME.title].sort(),
  )
  await device[Symbol.asyncDispose]()

  const [ann, ben] = [newAgent(), newAgent()]
  await mqClient({ url: world.url, ...ann }).put(ben.did, MESSAGE)
  const reader = mqClient({ url: world.url, ...ben })
  expect(await reader.peek()).toMatchObject({ text: MESSAGE })
  return { asked, reader }
}

/** All that is kept reads as it was written. */
const readAgain = async (world: World, asked: Asked) => {
  const { projectId } = asked
  const shown = (id: string) => asDapp(world, asked, 'GET', `/v1/${projectId}/notifications/${id}`)
  expect(await shown('one')).toMatchObject({ body: { notification: { title: WORDS.title } } })
  expect(await shown('scheduled')).toMatchObject({ body: { notification: { title: 'Scheduled-of-rest' } } })
  expect(await asDapp(world, asked, 'GET', `/v0/${projectId}/welcome-notification`)).toMatchObject({
    body: WELCOME,
  })
  expect(await asDapp(world, asked, 'GET', `/v1/${projectId}/broadcasts/over`)).toMatchObject({
    body: { status: 'done' },
  })
}

const found = (bytes: Buffer): string[] => {
  const at = bytes.indexOf(MARK)
  return at < 0 ? [] : [bytes.toString('latin1', Math.max(0, at - 200), at + 50)]
}

/** What a backup of the world holds, put into a store of its own. */
const restoredFrom = async (world: World, secret: string) => {
  const answer = await fetch(`${world.url}/admin/backup`, {
    headers: { authorization: `Bearer ${world.adminToken}` },
  })
  const bytes = Buffer.from(await answer.arrayBuffer())
  expect(found(gunzipSync(bytes))).toEqual([])
  const home = mkdtempSync(join(tmpdir(), 'belfry-rest-'))
  const file = join(home, 'backup')
  writeFileSync(file, bytes)
  const dataDir = join(home, 'data')
  mkdirSync(dataDir)
  const stores = await openEmbedded(dataDir, { isNew: true })
  const progress = { step: () => {} }
  await restore({ target: stores.transfer, now: Date.now }, { file, progress })
  await stores[Symbol.asyncDispose]()
  const restored = await startWorld({ dataDir, config: { secret } })
  return { restored, remove: () => rmSync(home, { recursive: true }) }
}

const secret = () => randomBytes(32).toString('hex')

it('in the file of the embedded store, and in a backup of it', async () => {
  const own = secret()
  await using world = await startWorld({ config: { secret: own } })
  const { asked, reader } = await write(world)
  await world.restart(() => {
    expect(found(readFileSync(join(world.dataDir, 'store', 'data.mdb')))).toEqual([])
  })
  const { restored, remove } = await restoredFrom(world, own)
  await readAgain(restored, asked)
  await restored[Symbol.asyncDispose]()
  remove()
  expect(await reader.take()).toMatchObject({ text: MESSAGE })
  await readAgain(world, asked)
}, 60_000)

it('in the keys of a Redis, and in a backup of it', async () => {
  await using redis = await startRedis()
  const own = secret()
  await using world = await startWorld({ config: { redisUrl: redis.url, secret: own } })
  const { asked } = await write(world)
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
  const { restored, remove } = await restoredFrom(world, own)
  await readAgain(restored, asked)
  await restored[Symbol.asyncDispose]()
  remove()
}, 60_000)

it('of an app whose keys change meanwhile', async () => {
  await using world = await startWorld()
  const { asked } = await write(world)
  const { status } = await world.http('POST', '/admin/rotate/app', {
    token: world.adminToken,
    body: { domain: DOMAIN, overlap: 3_600 },
  })
  expect(status).toBe(200)
  await readAgain(world, asked)
}, 60_000)

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
