/** What of the registry of installations is Redis' own: calls that are sent again, keys that go by themselves. */
import { expect, it } from 'vitest'
import { connectRedis } from '../../../src/storage/redis/connection.ts'
import { contactsGrant } from '../../../src/storage/redis/lua/contacts/grant.ts'
import { contactsRevoke } from '../../../src/storage/redis/lua/contacts/revoke.ts'
import { createRedisContacts } from '../../../src/storage/redis/rooms/contacts.ts'
import { sharedRedis, startRedis } from '../../support/redis.ts'

const HOUR = 3_600_000
let prefixes = 0
const open = async (server?: { url: string }) => {
  prefixes += 1
  const { url } = server ?? (await sharedRedis())
  const redis = connectRedis({ url, prefix: `contacts-${process.pid}-${prefixes}:` })
  return {
    redis,
    store: createRedisContacts(redis),
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  }
}

it('a call that is sent again, because its answer got lost, is answered as the first time', async () => {
  await using opened = await open()
  const { redis, store } = opened
  const keys = ['n', 'n', 'i'].map((end) => `${redis.prefix}{d:a}${end}`)
  const byToken = ['n', 't1', 'i'].map((end) => `${redis.prefix}{d:a}${end}`)
  const row = ['field', Date.now() + HOUR, 'name value', Date.now(), 20, HOUR]
  const twice = async (call: () => Promise<unknown>) => [await redis.one(call), await redis.one(call)]

  expect(await twice(() => redis.script(contactsGrant, keys, ['an attempt', 0, 1, HOUR, 0, ...row]))).toEqual(
    ['done', 'done'],
  )
  expect(await twice(() => redis.script(contactsGrant, keys, ['another', 0, 1, HOUR, 0, ...row]))).toEqual([
    'used',
    'used',
  ])
  expect(
    await twice(() => redis.script(contactsRevoke, byToken, ['an attempt', '', '', HOUR, '', 'field'])),
  ).toEqual([...['done', 'done']])
  expect(
    await twice(() => redis.script(contactsRevoke, byToken, ['another', '', '', HOUR, '', 'field'])),
  ).toEqual([...['used', 'used']])
  expect(await store.nonce('a')).toBe(1)
  expect(await store.installations('a', Date.now())).toEqual([])
})

it('keys end with what they hold', async () => {
  await using opened = await open()
  const { redis, store } = opened
  const now = Date.now()
  const bounds = { now, most: 20 }
  const installation = { name: 'name', value: 'long', expiresAt: now + 2 * HOUR }
  await store.grant('a', { kind: 'nonce', nonce: 0, first: 0, until: now + 3 * HOUR }, installation, bounds)
  const shorter = { ...installation, value: 'short', expiresAt: now + HOUR }
  await store.grant('a', { kind: 'token', id: '1', until: now + HOUR }, shorter, bounds)
  const left = (end: string) => redis.one(() => redis.client.pttl(`${redis.prefix}{d:a}${end}`))
  for (const [end, most] of [
    ['n', 3 * HOUR],
    ['t1', HOUR],
    ['i', 2 * HOUR],
  ] as const) {
    expect(await left(end)).toBeGreaterThan(most)
    expect(await left(end)).toBeLessThanOrEqual(most + 60_000)
  }
})

it('an account may take away what it has from a Redis that is full', async () => {
  await using server = await startRedis()
  await using opened = await open(server)
  const { redis, store } = opened
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
