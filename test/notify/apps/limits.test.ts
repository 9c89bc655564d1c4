import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseLimit } from '../../../src/platform/budgets/rate-limits.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { RATE_LIMIT_NAMES, RATE_LIMITS } from '../../../src/server/config/settings/rate-limits.ts'
import { startNotify, type TestNotify } from '../../support/world/notify.ts'
import { addressOf, type HttpWorld, NEWS, startWithApp } from '../../support/world/notify-http.ts'
import type { Device } from '../support/wallet.ts'

const HOUR = 3_600_000

describe('a limit', () => {
  it.each([
    ['20, 2/s', { burst: 20, seconds: 10 }],
    ['50,2/h', { burst: 50, seconds: 90_000 }],
    ['100, 1/min', { burst: 100, seconds: 6_000 }],
    ['500, 100/day', { burst: 500, seconds: 432_000 }],
    ['1, 10 / s', { burst: 1, seconds: 0.1 }],
    [' off ', null],
    ['', undefined],
    ['0, 1/s', undefined],
    ['1, 0/s', undefined],
    ['1, 1/week', undefined],
    ['1.5, 1/s', undefined],
  ])('%j is understood', (text, size) => expect(parseLimit(text)).toEqual(size))

  it('is published for everything that has one', () => {
    for (const name of RATE_LIMIT_NAMES) expect(parseLimit(RATE_LIMITS[name])).toBeTruthy()
  })
})

describe('over HTTP', () => {
  let world: HttpWorld
  beforeEach(async () => {
    world = await startWithApp(undefined, {})
  })
  afterEach(() => world[Symbol.asyncDispose]())

  const body = (accounts: string[] = [], id?: string) => ({
    ...(id !== undefined && { notification_id: id }),
    notification: { type: NEWS, title: 'Hello', body: 'World' },
    accounts,
  })
  const notify = (sent: unknown = body()) => world.call('POST', `/${world.project.id}/notify`, sent)
  const statuses = async (count: number, ask: () => Promise<{ status: number }>) => {
    const all: number[] = []
    for (let at = 0; at < count; at++) all.push((await ask()).status)
    return all
  }

  it('20 calls to notify are taken at once, then 2 a second; the answer says when', async () => {
    expect(new Set(await statuses(20, notify))).toEqual(new Set([200]))
    const refused = await notify()
    expect(refused).toMatchObject({
      status: 429,
      body: { error: 'Too many requests: try again in 1 s', code: 'rate_limited' },
    })
    expect(refused.headers.get('retry-after')).toBe('1')
    await world.clock.advance(1_000)
    expect(await statuses(3, notify)).toEqual([200, 200, 429])
    // v1 is the same limit, another project has its own.
    const v1 = () => world.call('POST', `/v1/${world.project.id}/notify`, [body()])
    expect((await v1()).status).toBe(429)
    const other = await world.apps.createProject()
    const theirs = await world.call('GET', `/${other.project.id}/subscribers`, undefined, {
      authorization: `Bearer ${other.secret}`,
    })
    expect(theirs.status).toBe(200)
  })

  it.each([
    ['GET', 'subscribers', undefined, 5, 1_000],
    ['POST', 'subscribe-topic', { appDomain: 'app.example' }, 100, 60_000],
  ])('%s …/%s has the published limit', async (method, path, sent, burst, each) => {
    const ask = () => world.call(method, `/${world.project.id}/${path}`, sent)
    expect(await statuses(burst + 1, ask)).toEqual([...Array(burst).fill(200), 429])
    await world.clock.advance(each)
    expect(await statuses(2, ask)).toEqual([200, 429])
  })

  it('a wrong secret and a wrong path use up nothing', async () => {
    const wrong = { authorization: 'Bearer wrong' }
    await statuses(30, () => world.call('POST', `/${world.project.id}/notify`, body(), wrong))
    expect((await notify()).status).toBe(200)
  })

  it('a link may be followed 20 times at once', async () => {
    const id = '0d1b6f0c-94e0-4a2e-8b38-3a6f1f1b7c55'
    const follow = () => world.call('GET', `/v1/notification/${id}`)
    expect(await statuses(21, follow)).toEqual([...Array(20).fill(404), 429])
    expect((await world.call('GET', `/v1/notification/${id.replace('0d', '0e')}`)).status).toBe(404)
  })

  const A = `eip155:1:${addressOf(0xa)}`
  const B = `eip155:1:${addressOf(0xb)}`

  it('a limited account fails and the other is sent to, in a call with two accounts', async () => {
    await world.subscribe(A)
    await world.subscribe(B)
    // 50 at once for A alone; the project asks slowly.
    for (let at = 0; at < 50; at++) {
      expect((await notify(body([A]))).body).toMatchObject({ sent: [A] })
      await world.clock.advance(500)
    }
    const both = await notify(body([A, B, A.replace('eip155:1:', 'eip155:10:')]))
    expect(both.body).toEqual({
      sent: [B],
      failed: [
        { account: A, reason: 'Rate limit exceeded' },
        { account: A.replace('eip155:1:', 'eip155:10:'), reason: 'Rate limit exceeded' },
      ],
      not_found: [],
    })
    await world.clock.advance(HOUR / 2)
    expect((await notify(body([A]))).body).toMatchObject({ sent: [A] })
    expect((await notify(body([A]))).body).toMatchObject({ sent: [] })
  })

  it('the same notification_id again costs a subscriber nothing, and gets to who was limited once it can', async () => {
    await world.subscribe(A)
    for (let at = 0; at < 60; at++) {
      expect((await notify(body([A], 'same'))).body).toMatchObject({ sent: [A] })
      await world.clock.advance(500)
    }
    await world.apps.projects.set(world.project.id, { limits: { subscriber: '1, 1/h' } })
    await world.subscribe(B)
    expect((await notify(body([B], 'one'))).body).toMatchObject({ sent: [B] })
    expect((await notify(body([B], 'two'))).body).toMatchObject({ failed: [{ account: B }] })
    expect((await notify(body([B], 'one'))).body).toMatchObject({ sent: [B] })
    await world.clock.advance(HOUR)
    expect((await notify(body([B], 'two'))).body).toMatchObject({ sent: [B] })
  })

  it('a project has the limits that it was granted, at once', async () => {
    await world.apps.projects.set(world.project.id, { limits: { notify: '2, 1/h' } })
    expect(await statuses(3, notify)).toEqual([200, 200, 429])
    await world.apps.projects.set(world.project.id, { limits: { notify: 'off' } })
    expect(new Set(await statuses(50, notify))).toEqual(new Set([200]))
  })

  it('a project has so many notifications a day as its quota says', async () => {
    await world.apps.projects.set(world.project.id, { quotas: { notificationsPerDay: 4 } })
    const three = () => world.call('POST', `/v1/${world.project.id}/notify`, [body(), body(), body()])
    expect((await three()).status).toBe(200)
    const refused = await three()
    expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
    expect(JSON.stringify(refused.body)).toContain('a quota of 4 notifications a day')
    expect(refused.headers.get('retry-after')).toBe('43200')
    expect((await notify()).status).toBe(200)
  })

  it('a project has so many apps and days of history as it was granted', async () => {
    await world.apps.projects.set(world.project.id, { quotas: { apps: 1 }, retentionDays: 7 })
    const another = await world.call('POST', `/${world.project.id}/subscribe-topic`, {
      appDomain: 'b.example',
    })
    expect(another).toMatchObject({
      status: 409,
      body: { code: 'quota_reached', error: 'The quota of the project is used up: it is 1 apps' },
    })
    const again = { appDomain: 'app.example' }
    expect((await world.call('POST', `/${world.project.id}/subscribe-topic`, again)).status).toBe(200)
    await world.subscribe(A)
    await notify(body([A], 'n'))
    const kept = await world.store.notification(world.project.id, 'app.example', 'n')
    expect(kept?.expiresAt).toBe(world.clock.now() + 7 * 24 * HOUR)
    expect((await world.outbox())[0]?.expiresAt).toBe(world.clock.now() + 7 * 24 * HOUR)
  })
})

describe('of wallets', () => {
  let world: TestNotify
  beforeEach(async () => {
    world = await startNotify({
      limits: { update: '3, 1/h', subscribe: '2, 1/h', watch: '1, 1/h', delete: '1, 1/h' },
    })
  })
  afterEach(() => world[Symbol.asyncDispose]())

  const keyOf = (claims: Record<string, unknown>): Uint8Array => {
    const [item] = claims.sbs as { symKey: string }[]
    return fromHex(item?.symKey ?? '')
  }
  const subscribed = async (device: Device) =>
    keyOf((await world.ask(device.subscribe(world.app, ['news']))).claims)
  const LIMITED = { kind: 'failure', code: -1, message: 'Too many requests: try again in 3600 s' }

  it('a request too many is answered with an encrypted error and changes nothing', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    const update = (scp: string) => device.ask(4008, world.app, key, { scp })
    for (const scp of ['', 'news', '']) expect((await world.ask(update(scp))).rpc.kind).toBe('result')
    expect((await world.ask(update('news'))).rpc).toMatchObject(LIMITED)
    const { record } = await world.store.account(device.account.toLowerCase().replace('eip155:1:', 'eip155:'))
    expect(record.subscriptions[0]?.scope).toEqual([])
    // Another method and another account have buckets of their own.
    expect(
      (await world.ask(device.ask(4014, world.app, key, { lmt: 5, aft: null, urf: false }))).rpc.kind,
    ).toBe('result')
    const other = world.newDevice()
    const otherKey = await subscribed(other)
    expect((await world.ask(other.ask(4008, world.app, otherKey, { scp: '' }))).rpc.kind).toBe('result')
  })

  it('delete and subscribe again has the same limit for the account', async () => {
    const device = world.newDevice()
    const remove = async () => world.ask(device.ask(4004, world.app, await subscribed(device)))
    expect((await remove()).rpc.kind).toBe('result')
    expect((await remove()).rpc).toMatchObject(LIMITED)
  })

  it('watch and subscribe are counted for the identity key', async () => {
    const device = world.newDevice()
    expect((await world.ask(device.watch(world.address))).rpc.kind).toBe('result')
    expect((await world.ask(device.watch(world.address))).rpc).toMatchObject(LIMITED)
    await subscribed(device)
    await subscribed(device)
    expect((await world.ask(device.subscribe(world.app, []))).rpc).toMatchObject(LIMITED)
    expect((await world.ask(world.newDevice().watch(world.address))).rpc.kind).toBe('result')
  })

  it('a refused request that is delivered again gets the same answer, also when it would be taken by now', async () => {
    const device = world.newDevice()
    await world.ask(device.watch(world.address))
    const sent = device.watch(world.address)
    const first = await world.ask(sent)
    await world.ask(sent)
    const answers = world.publishedOn(sent.answerTopic, 4011, sent.key)
    expect(answers).toHaveLength(2)
    expect(answers[1]?.message).toBe(first.message)
  })

  it('a subscriber too many for the quota of the project is told so; one that is there may change', async () => {
    await world.apps.projects.set(world.project.id, { quotas: { subscribersPerApp: 1 } })
    const first = world.newDevice()
    await subscribed(first)
    expect((await world.ask(first.subscribe(world.app, []))).rpc.kind).toBe('result')
    expect((await world.ask(world.newDevice().subscribe(world.app, []))).rpc).toMatchObject({
      kind: 'failure',
      code: -1,
      message: 'The quota of the project is used up: it is 1 subscribers',
    })
  })

  it('a flood that nobody can open is counted, and after a while neither tried nor logged', async () => {
    const device = world.newDevice()
    const good = device.watch(world.address)
    // The same sender key each time, and what follows is damaged.
    for (let at = 0; at < 100; at++) {
      const message = `${good.message.slice(0, 80)}${String(at).padStart(4, 'A')}${good.message.slice(84)}`
      await world.loop.deliver({ ...good, message })
    }
    expect(world.recorder.counts.get('notify_undecryptable_total wc_notifyWatchSubscriptions')).toBe(100)
    const lines = world.recorder.lines.filter(({ sentence }) => sentence.includes('could not be decrypted'))
    expect(lines).toHaveLength(20)
    // Who wrote them is not heard for a while; others are.
    await world.loop.deliver(good)
    expect(world.publishedOn(good.answerTopic, 4011, good.key)).toEqual([])
    expect((await world.ask(world.newDevice().watch(world.address))).rpc.kind).toBe('result')
  })
})
