/** What is kept about one account: handed out, erased, and then looked for in every byte of the store. */

import { join } from 'node:path'
import { Redis } from 'ioredis'
import { open } from 'lmdb'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { accountHash } from '../../../src/contacts/account-key.ts'
import { ERASED } from '../../../src/keys/store.ts'
import { accountKey } from '../../../src/protocol/caip.ts'
import { packAccount } from '../../../src/storage/redis/notify/rows/packing.ts'
import { eventually } from '../../support/eventually.ts'
import { newOwner } from '../../support/owner.ts'
import { startRedis } from '../../support/redis.ts'
import { newDevice, postNotification } from '../../support/story.ts'
import { startWorld, type World } from '../../support/world.ts'

/** Every key and value of every table. LMDB's free pages may have old bytes until they are used again; rows have not. */
const rowsOfLmdb = async (world: World): Promise<Buffer[]> => {
  const rows: Buffer[] = []
  await world.restart(async () => {
    const env = open({ path: join(world.dataDir, 'store'), noSubdir: false, maxDbs: 128, readOnly: true })
    for (const table of [...env.getKeys()]) {
      if (typeof table !== 'string') throw new Error('a table has a name')
      const rowsOf = env.openDB<Buffer, Buffer>({ name: table, keyEncoding: 'binary', encoding: 'binary' })
      for (const { key, value } of rowsOf.getRange({})) rows.push(Buffer.from(key), Buffer.from(value))
    }
    await env.close()
  })
  return rows
}

const rowsOfRedis = async (url: string): Promise<Buffer[]> => {
  const client = new Redis(url)
  const rows: Buffer[] = []
  for await (const keys of client.scanStream()) {
    for (const key of z.array(z.string()).parse(keys)) {
      // The answer to a commit, for a connection that breaks off: it goes by itself in a minute, at the latest.
      if (/\}once:/.test(key)) {
        expect(await client.pttl(key)).toBeLessThanOrEqual(60_000)
        continue
      }
      rows.push(Buffer.from(key))
      const type = await client.type(key)
      if (type === 'string') rows.push((await client.getBuffer(key)) ?? Buffer.alloc(0))
      else if (type === 'zset') rows.push(...(await client.zrangeBuffer(key, 0, -1)))
      else if (type === 'set') rows.push(...(await client.smembersBuffer(key)))
      else if (type === 'list') rows.push(...(await client.lrangeBuffer(key, 0, -1)))
      else if (type === 'hash') {
        rows.push(
          ...Object.entries(await client.hgetallBuffer(key)).flatMap(([name, v]) => [Buffer.from(name), v]),
        )
      } else if (type === 'stream') {
        rows.push(Buffer.from(JSON.stringify(await client.xrange(key, '-', '+'))))
      }
    }
  }
  client.disconnect()
  return rows
}

const traces = (rows: readonly Buffer[], account: string): string[] => {
  const key = accountKey(account)
  const hex = key.slice(key.indexOf('0x') + 2)
  const packed = packAccount(key).slice('eip155:0X'.length)
  return rows
    .filter(
      (row) =>
        row.toString('latin1').toLowerCase().includes(hex) ||
        row.includes(packed) ||
        row.includes(Buffer.from(hex, 'hex')),
    )
    .map((row) => row.toString('latin1').slice(0, 200))
}

const exported = z.object({
  account: z.string(),
  identityKeys: z.array(z.object({ identityKey: z.string(), cacao: z.record(z.string(), z.unknown()) })),
  inviteKey: z.object({ inviteKey: z.string() }).nullable(),
  subscriptions: z.array(
    z.object({
      domain: z.string(),
      types: z.array(z.string()),
      notifications: z.array(z.object({ isRead: z.boolean(), notification: z.object({ body: z.string() }) })),
    }),
  ),
  watchers: z.array(z.object({ identityKey: z.string(), domain: z.null() })),
  scheduled: z.array(z.object({ id: z.string(), accounts: z.array(z.string()) })),
  outbox: z.array(z.unknown()),
})

it.each(['the embedded store', 'Redis'])(
  'on %s an account is exported whole and without secrets, and erased without a trace',
  async (engine) => {
    await using redis = engine === 'Redis' ? await startRedis() : undefined
    await using world = await startWorld(redis ? { config: { redisUrl: redis.url } } : {})
    const rows = () => (redis ? rowsOfRedis(redis.url) : rowsOfLmdb(world))
    const app = await world.addApp('app.example.com', { types: [{ name: 'News' }, { name: 'Offers' }] })
    const [type] = app.types
    if (!type || app.secret === null) throw new Error('it was just added')
    const enrolled = { ...app, secret: app.secret, types: [type, type] }

    const owner = newOwner()
    const devices = [newDevice(world, owner), newDevice(world, owner)]
    const other = newDevice(world)
    const [phone, laptop] = devices
    if (!phone || !laptop) throw new Error('there are two')
    await Promise.all([...devices, other].map((device) => device.watch()))
    await phone.subscribe(app.domain, [type.id])
    await other.subscribe(app.domain, [type.id])
    await postNotification(world, enrolled, {
      id: 'one',
      body: 'a private matter',
      accounts: [owner.account, other.account],
    })
    await eventually(async () => expect((await laptop.history(app.domain)).notifications).toHaveLength(1))
    // For later: to both, and to this one alone, on another chain.
    const later = { type: type.id, title: 'Later', body: 'in an hour' }
    const forLater = [
      ['both', [owner.account, other.account]],
      ['alone', [owner.on(137)]],
    ] as const
    for (const [id, accounts] of forLater) {
      const path = `/v1/${app.projectId}/notify`
      const body = [
        {
          notification_id: id,
          notification: later,
          accounts,
          deliver_at: new Date(Date.now() + 3_600_000).toISOString(),
        },
      ]
      const answer = await world.http('POST', path, { token: app.secret, body })
      expect(answer.status).toBe(200)
    }
    // Sent, and so kept among what the dapp may ask about.
    const receiptsOf = (id: string) =>
      world.stores.notify.receipts({ projectId: app.projectId, domain: app.domain, id }, { limit: 10 })
    const key = accountKey(owner.account)
    await eventually(async () =>
      expect(await receiptsOf('one')).toContainEqual(
        expect.objectContaining({ accountKey: key, state: 'delivered' }),
      ),
    )
    const { record } = await world.stores.notify.account(key)
    const invite = { inviteKey: 'did:key:z6LSinvite', account: owner.account }
    const [watcher] = record.watchers
    if (!watcher) throw new Error('it watches')
    await world.stores.keys.registerInvite(key, { ...invite, identityKey: watcher.identityKey })

    const installation = { name: 'xmtp/installation/hex', value: 'AQID', expiresAt: Date.now() + 3_600_000 }
    const granted = { kind: 'nonce', nonce: 0, first: 0, until: Date.now() + 60_000 } as const
    await world.stores.contacts.grant(accountHash(key), granted, installation, { now: Date.now(), most: 20 })

    // Asked for on another chain: it is the person that counts.
    const path = `/admin/accounts/${encodeURIComponent(owner.on(137))}`
    const ask = (method: string) => world.http(method, path, { token: world.adminToken })
    const { status, body } = await ask('GET')
    expect(status).toBe(200)
    const document = exported.parse(body)
    expect(document.identityKeys).toHaveLength(2)
    expect(document.inviteKey).toMatchObject({ inviteKey: invite.inviteKey })
    expect(document.watchers).toHaveLength(2)
    expect(body).toMatchObject({ installations: [installation] })
    expect(document.subscriptions).toMatchObject([
      {
        domain: app.domain,
        types: [type.id],
        notifications: [{ isRead: false, notification: { body: 'a private matter' } }],
      },
    ])
    expect(document.scheduled).toHaveLength(2)
    expect(document.scheduled).toEqual(
      expect.arrayContaining([
        { id: 'both', accounts: [owner.account] },
        { id: 'alone', accounts: [owner.on(137)] },
      ]),
    )
    const text = JSON.stringify(body)
    const sealed = [...record.subscriptions, ...record.watchers].map((held) => held.key)
    const opened = JSON.stringify(phone.export()).match(/(?<=symKey":")[^"]+|(?<="key":")[^"]+/g) ?? []
    expect(opened.length).toBeGreaterThan(0)
    for (const secret of [...sealed, ...opened]) expect(text).not.toContain(secret)
    expect(text).not.toMatch(/"(?:key|symKey|seed|secret)":/)

    expect(traces(await rows(), owner.account).length).toBeGreaterThan(3)
    await Promise.all(devices.map((device) => eventually(() => device.watch())))
    // What was answered is still in the outbox for a moment after it has come.
    await eventually(async () => expect(await world.stores.notify.outboxSize()).toBe(0))

    const erased = await ask('DELETE')
    expect(erased).toMatchObject({
      status: 200,
      body: {
        ...{ identityKeys: 2, inviteKeys: 1, installations: 1 },
        ...{ subscriptions: 1, watchers: 2, scheduled: 2, unsent: 0 },
      },
    })
    // Devices that live hear of it as of any end of a subscription.
    await eventually(() => {
      for (const device of devices) expect(device.subscriptions()).toEqual([])
    })
    await Promise.all(devices.map((device) => device[Symbol.asyncDispose]()))
    expect((await ask('DELETE')).body).toEqual({
      identityKeys: 0,
      inviteKeys: 0,
      installations: 0,
      subscriptions: 0,
      watchers: 0,
      scheduled: 0,
      unsent: 0,
    })
    const empty = exported.parse((await ask('GET')).body)
    expect(empty).toMatchObject({
      identityKeys: [],
      inviteKey: null,
      subscriptions: [],
      watchers: [],
      scheduled: [],
      outbox: [],
    })

    const left = await rows()
    expect(traces(left, owner.account)).toEqual([])
    // What is left says that the keys are revoked, so that the public CACAO cannot bring them back.
    for (const { identityKey, cacao } of document.identityKeys) {
      const kept = await world.stores.keys.identity(identityKey)
      expect(kept).toEqual({
        ...{ identityKey, accountKey: ERASED, account: '', cacao: '' },
        ...{ isDefault: true, revokedAt: expect.any(Number) },
      })
      const again = await world.http('POST', '/identity', { body: { cacao } })
      expect(again.status).toBe(400)
    }

    // The other one has what it had.
    expect(traces(left, other.account).length).toBeGreaterThan(3)
    expect(await receiptsOf('one')).toMatchObject([{ accountKey: accountKey(other.account) }])
    const waiting = await world.http('GET', `/v1/${app.projectId}/notifications/both`, { token: app.secret })
    expect(waiting).toMatchObject({ status: 200 })
    const rest = await eventually(() => other.history(app.domain))
    expect(rest.notifications).toHaveLength(1)
    await other[Symbol.asyncDispose]()
  },
  90_000,
)

it('an account that nobody knows is empty, and one that is none is refused', async () => {
  await using world = await startWorld()
  const ask = (method: string, account: string, token = world.adminToken) =>
    world.http(method, `/admin/accounts/${account}`, { token })
  const unknown = encodeURIComponent(newOwner().account)
  expect(await ask('GET', unknown)).toMatchObject({
    status: 200,
    body: { subscriptions: [], identityKeys: [] },
  })
  expect((await ask('DELETE', 'nobody')).status).toBe(422)
  expect((await ask('GET', unknown, 'wrong')).status).toBe(401)
})
