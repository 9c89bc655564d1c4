/** What of the port is Redis' own: calls that are sent again, keys that go by themselves, and a Redis that is full. */
import { expect, it } from 'vitest'
import { createArchiveStore } from '../../../src/archive/store/archive.ts'
import { createContactsStore } from '../../../src/contacts/store.ts'
import { createKeysStore } from '../../../src/keys/store-rows.ts'
import { createMqStore } from '../../../src/mq/store-verbs.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { text } from '../../../src/storage/codec.ts'
import { createChannels } from '../../../src/storage/redis/channels.ts'
import { connectRedis, type RedisConnection } from '../../../src/storage/redis/connection.ts'
import { createRedisKv } from '../../../src/storage/redis/kv/engine.ts'
import { defineTable } from '../../../src/storage/table.ts'
import { sharedRedis, startRedis } from '../../support/redis.ts'

const HOUR = 3_600_000
let prefixes = 0
const open = async (server?: { url: string }) => {
  prefixes += 1
  const { url } = server ?? (await sharedRedis())
  const redis = connectRedis({ url, prefix: `kv-${process.pid}-${prefixes}:` })
  return {
    redis,
    kv: createRedisKv({ redis, channels: createChannels(redis), instance: 'one' }),
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  }
}

/** Every script call is sent twice, as by a connection that broke off; the second answer is given. */
const sendingTwice = (redis: RedisConnection): RedisConnection => ({
  ...redis,
  spansSlots: redis.spansSlots,
  async scriptBuffer(...call) {
    await redis.scriptBuffer(...call)
    return redis.scriptBuffer(...call)
  },
})

it('a commit that is sent again, because its answer got lost, is answered as the first time', async () => {
  await using opened = await open()
  const { redis, kv } = opened
  const twice = createRedisKv({
    redis: sendingTwice(redis),
    channels: createChannels(redis),
    instance: 'two',
  })
  const cell = defineTable({ name: 'test.once', shape: 'cell', codec: text }).in('a')
  const batch = { partition: 'a', checks: [cell.isAbsent()], writes: [cell.create({ value: 'mine' })] }
  expect(await twice.commit([{ ...batch, isOnce: true }], 0)).toEqual([{ isDone: true, results: [1] }])
  expect(await twice.commit([{ ...batch, isOnce: true }], 0)).toMatchObject([{ isDone: false, failed: 0 }])
  await kv.commit([{ partition: 'a', writes: [cell.remove()] }], 0)
  // Without the wish for it the second one finds what the first one did.
  expect(await twice.commit([batch], 0)).toMatchObject([{ isDone: false, failed: 0 }])

  const now = Date.now()
  const contacts = createContactsStore(twice, systemClock)
  const installation = { name: 'name', value: 'value', expiresAt: now + HOUR }
  const ticket = (nonce: number) => ({ kind: 'nonce', nonce, first: 0, until: now + HOUR }) as const
  expect(await contacts.grant('a', ticket(0), installation, { now, most: 20 })).toBe('done')
  expect(await contacts.grant('a', ticket(0), installation, { now, most: 20 })).toBe('used')
  expect(await contacts.revoke('a', ticket(1), installation, now)).toBe('done')
  expect(await contacts.nonce('a')).toBe(2)

  const [mq, queue] = [createMqStore(twice), { domain: 'default', hashDID: 'r' }]
  const message = (id: string) => ({ id, message: id, expiresAt: now + HOUR })
  for (const id of ['a', 'b', 'c']) expect(await mq.put(queue, message(id), { now, most: 3 })).toBe(true)
  expect(await mq.take(queue, { now })).toEqual(message('a'))
  expect(await mq.take(queue, { now, id: 'c' })).toEqual(message('c'))
  expect(await mq.take(queue, { now, id: 'c' })).toBeUndefined()
  expect(await mq.take(queue, { now })).toEqual(message('b'))
  expect(await mq.take(queue, { now })).toBeUndefined()
  expect(await contacts.installations('a', now)).toEqual([])
})

it('keys end with what they hold, and an hour or two later', async () => {
  await using opened = await open()
  const { redis, kv } = opened
  const now = Date.now()
  const options = { ends: true, codec: text } as const
  for (const shape of ['cell', 'map', 'ordered', 'queue'] as const) {
    const set = defineTable({ name: `test.${shape}`, shape, ...options }).in('a', 'b')
    const rows = [5, 3].map((hours) => {
      const row = { value: 'x', expiresAt: now + hours * HOUR }
      const key = shape === 'cell' ? {} : { key: Buffer.from([hours]) }
      return shape === 'queue' ? set.enqueue({ ...row, ...key, at: now }) : set.put({ ...row, ...key })
    })
    await kv.commit([{ partition: 'a', writes: rows }], now)
    // A cell has the end of what was written last.
    const least = (shape === 'cell' ? 3 : 5) * HOUR
    const order = shape === 'queue' ? ['.o'] : []
    for (const infix of ['', ...order]) {
      const left = await redis.one(() => redis.client.pttl(`${redis.prefix}{a}test.${shape}${infix}:b`))
      expect({ shape, infix, isLongEnough: left > least, isShortEnough: left <= least + 2 * HOUR }).toEqual({
        ...{ shape, infix, isLongEnough: true, isShortEnough: true },
      })
    }
  }
})

it('an account may take away what it has from a Redis that is full', async () => {
  await using server = await startRedis()
  await using opened = await open(server)
  const { redis, kv } = opened
  const store = createContactsStore(kv, systemClock)
  const now = Date.now()
  const installation = { name: 'name', value: 'value', expiresAt: now + HOUR }
  const token = (id: string) => ({ kind: 'token', id, until: now + HOUR }) as const
  await store.grant('a', token('1'), installation, { now, most: 20 })
  await redis.one(() => redis.client.config('SET', 'maxmemory', '1'))
  const more = store.grant('a', token('2'), { ...installation, value: 'more' }, { now, most: 20 })
  await expect(more).rejects.toMatchObject({ code: 'unavailable' })
  expect(await store.revoke('a', token('3'), installation, now)).toBe('done')
  expect(await store.installations('a', now)).toEqual([])
})

it('owners drop what they archived, identity keys go, and sweeps go on, on a Redis that is full', async () => {
  await using server = await startRedis()
  await using opened = await open(server)
  const { redis, kv } = opened
  const now = Date.now()
  const [archive, keys] = [createArchiveStore(kv, systemClock), createKeysStore(kv, systemClock)]
  const [topic, owner] = ['aa'.repeat(32), 'bb'.repeat(32)]
  const archived = (id: string, expiresAt: number) => ({
    ...{ topic, id: id.repeat(32), message: 'text', tag: 5000, at: now, expiresAt, owner },
  })
  const limits = { messages: 100, bytes: 100_000 }
  const lives = [archived('01', now + HOUR), archived('02', now + 3 * HOUR), archived('03', now + 3 * HOUR)]
  await archive.keep(lives, limits, now)
  const [identityKey, accountKey] = ['did:key:a', 'eip155:0xa']
  await keys.prolong(identityKey, now)
  await keys.registerIdentity({ identityKey, accountKey, account: 'eip155:1:0xA', cacao: '{}' })
  await keys.registerInvite(accountKey, { inviteKey: 'did:key:x', account: 'eip155:1:0xA', identityKey })
  await redis.one(() => redis.client.config('SET', 'maxmemory', '1'))
  await expect(archive.keep([archived('04', now + HOUR)], limits, now)).rejects.toMatchObject({
    code: 'unavailable',
  })
  expect(await archive.sweep(now + 2 * HOUR, 10)).toBe(1)
  expect(await archive.drop(topic, '03'.repeat(32), owner)).toBe(true)
  const page = await archive.page(topic, { direction: 'forward', limit: 10, maxBytes: 1_000, now })
  expect(page?.messages.map(({ id }) => id.slice(0, 2))).toEqual(['03'])
  expect(await keys.unregisterIdentity(identityKey, accountKey)).toBe(true)
  expect(await keys.invite(accountKey)).toBeUndefined()
  expect(await keys.sweep(now, 10)).toBe(1)
})
