/** What a dapp sent, over HTTP: later, to all, until when; what became of it, and how it is taken back. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UNLIMITED } from '../../../src/notify/apps/limits.ts'
import { createDirectSends } from '../../../src/notify/outbox/direct-sends.ts'
import { createBroadcaster } from '../../../src/notify/publish/broadcasts.ts'
import { createScheduler } from '../../../src/notify/publish/schedule.ts'
import { createReleaseStack, type ReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import { eventually } from '../../support/eventually.ts'
import { addressOf, type HttpWorld, NEWS, OFFERS, startWithApp } from '../../support/world/notify-http.ts'

let world: HttpWorld
let id: string
let work: ReleaseStack
beforeEach(async () => {
  world = await startWithApp()
  id = world.project.id
  work = createReleaseStack()
})
afterEach(async () => {
  await work[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

const A = `eip155:1:${addressOf(0xa)}`
const B = `eip155:1:${addressOf(0xb)}`
const C = `eip155:1:${addressOf(0xc)}`
const HOUR = 3_600_000
const DAY = 24 * HOUR
const notification = { type: NEWS, title: 'Hello', body: 'World' }

/** What the notify server does beside answering, until the test ends. */
const startWork = () => {
  const { jobQueue, store, apps, clock } = world
  const direct = createDirectSends(clock)
  const deps = { jobQueue, store, direct, apps, limits: UNLIMITED, clock, log: silent, meter: unmeasured }
  work.use(createScheduler(deps))
  work.use(createBroadcaster(deps))
}
const passed = async (ms: number) => world.clock.advance(ms)
const notify = async (more: Record<string, unknown>) =>
  (await world.call('POST', `/${id}/notify`, { notification, accounts: [A], ...more })).body
const get = async (path: string) => (await world.call('GET', `/v1/${id}/${path}`)).body
const remove = async (path: string) => (await world.call('DELETE', `/v1/${id}/${path}`)).body
const broadcast = async (more: Record<string, unknown> = {}) =>
  world.call('POST', `/v1/${id}/broadcasts`, { notification, ...more })
const receiptsOf = async (name: string) => {
  const body: { receipts?: { account: string; state: string; reason?: string }[] } = Object(
    await get(`notifications/${name}/receipts`),
  )
  return Object.fromEntries(
    (body.receipts ?? []).map(({ account, state, reason }) => [account, reason ?? state]),
  )
}
const outboxed = async () => (await world.outbox()).length
/** Everything in the outbox is published. */
const deliverAll = async () => {
  for (const { id: entry, task } of await world.outbox()) {
    if (task.kind !== 'notification' || task.projectId === undefined) continue
    const { accountKey, subscriptionId, projectId, domain, notificationId } = task
    const of = { projectId, domain, id: notificationId }
    const receipt = { of, accountKey, subscriptionId, became: 'published' as const }
    await world.store.completeOutbox([{ id: entry, receipt }], world.clock.now())
  }
}

describe('a notification', () => {
  it('can be looked at: what it says, when, and what became of it for whom', async () => {
    await world.subscribe(A)
    await world.subscribe(B, { scope: [OFFERS] })
    await notify({ notification_id: 'n', accounts: [A, B, C], collapse_key: 'k', ttl: 60 })
    const at = new Date(world.clock.now()).toISOString()
    expect(await get('notifications/n')).toEqual({
      notification_id: 'n',
      app_domain: 'app.example',
      status: 'queued',
      notification: { ...notification, icon: null, url: null },
      collapse_key: 'k',
      created_at: at,
      deliver_at: null,
      deliver_by: new Date(world.clock.now() + 60_000).toISOString(),
      expires_at: new Date(world.clock.now() + 30 * DAY).toISOString(),
      counts: { queued: 1, published: 0, delivered: 0, read: 0, failed: 1 },
      push: { pushed: 0, refused: 0 },
    })
    expect(await receiptsOf('n')).toEqual({
      [A]: 'queued',
      [B]: 'Client is not subscribed to this notification type',
    })
    expect(await get('notifications/n/receipts?state=queued')).toEqual({
      receipts: [{ account: A, state: 'queued', at }],
      next: null,
    })
    await deliverAll()
    expect(await get('notifications/n')).toMatchObject({ status: 'done', counts: { published: 1 } })
  })

  it('is listed with the others of the project, newest first, in pages', async () => {
    await world.subscribe(A)
    for (const name of ['one', 'two', 'three']) {
      await notify({ notification_id: name })
      await passed(10)
    }
    const first = Object(await get('notifications?limit=2'))
    expect(first.notifications).toMatchObject([{ notification_id: 'three' }, { notification_id: 'two' }])
    const next = encodeURIComponent(first.next)
    const rest = Object(await get(`notifications?limit=2&after=${next}`))
    expect(rest).toMatchObject({ notifications: [{ notification_id: 'one' }], next: null })
    expect(await get('notifications?status=scheduled')).toEqual({ notifications: [], next: null })
  })

  it('has pages of receipts that hold every account once', async () => {
    const accounts = Array.from({ length: 25 }, (_, at) => `eip155:1:${addressOf(at + 1)}`)
    for (const account of accounts) await world.subscribe(account)
    await notify({ notification_id: 'n', accounts })
    const seen: string[] = []
    for (let after = ''; ; ) {
      const page: { receipts: { account: string }[]; next: string | null } = Object(
        await get(`notifications/n/receipts?limit=10${after}`),
      )
      seen.push(...page.receipts.map(({ account }) => account))
      if (page.next === null) break
      after = `&after=${encodeURIComponent(page.next)}`
    }
    expect(seen.sort()).toEqual(accounts.sort())
  })

  it('is found in the app that is named, where several use its id', async () => {
    await world.apps.enrol({ projectId: id, domain: 'b.example', types: [{ id: NEWS, name: 'News' }] })
    await world.subscribe(A)
    await world.subscribe(A, { domain: 'b.example' })
    for (const appDomain of ['app.example', 'b.example']) {
      await notify({ notification_id: 'n', appDomain, notification: { ...notification, body: appDomain } })
    }
    expect(await get('notifications/n?appDomain=b.example')).toMatchObject({
      app_domain: 'b.example',
      notification: { body: 'b.example' },
    })
    expect(await get('notifications?appDomain=b.example')).toMatchObject({
      notifications: [{ app_domain: 'b.example' }],
    })
    expect(await get('notifications/n?appDomain=c.example')).toMatchObject({ code: 'unknown_app' })
  })

  it.each([
    ['GET', 'notifications/none'],
    ['GET', 'notifications/none/receipts'],
    ['DELETE', 'notifications/none'],
    ['GET', 'broadcasts/none'],
    ['DELETE', 'broadcasts/none'],
    ['GET', `notifications/${'x'.repeat(3_000)}`],
    ['DELETE', `notifications/${encodeURIComponent('🔔'.repeat(300))}`],
    ['GET', 'notifications/%00'],
  ])('that is not there is 404 for %s %s', async (method, path) => {
    const answer = await world.call(method, `/v1/${id}/${path}`)
    expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } })
  })

  it.each([
    ['notifications?limit=0', 'limit'],
    ['notifications?limit=101', 'limit'],
    ['notifications?status=sent', 'status'],
    ['notifications?after=x', 'after'],
    ['notifications?status=scheduled&after=x', 'after'],
    ['notifications?appDomain=%00', 'appDomain'],
    ['notifications/n/receipts?after=%00', 'after'],
    ['notifications/n/receipts?state=lost', 'state'],
  ])('is not looked for with %s', async (path, field) => {
    await notify({ notification_id: 'n' })
    expect(await world.call('GET', `/v1/${id}/${path}`)).toMatchObject({ status: 422, body: { field } })
  })

  it.each([
    [{ deliver_at: 1_700_000_000 }, 'deliver_at'],
    [{ deliver_at: 'tomorrow' }, 'deliver_at'],
    [{ deliver_at: '2026-01-01T00:00:00' }, 'deliver_at'],
    [{ deliver_at: '2026-02-01T00:00:01Z' }, 'deliver_at'],
    [{ ttl: 0 }, 'ttl'],
    [{ ttl: 1.5 }, 'ttl'],
    [{ ttl: 2_592_001 }, 'ttl'],
    [{ collapse_key: '' }, 'collapse_key'],
    [{ collapse_key: 'k'.repeat(65) }, 'collapse_key'],
  ])('is refused with %j', async (more, field) => {
    const answer = await world.call('POST', `/${id}/notify`, { notification, accounts: [A], ...more })
    expect(answer).toMatchObject({ status: 422, body: { field } })
    expect(await get('notifications')).toMatchObject({ notifications: [] })
  })

  it('with a collapse key takes the place of an older one that has not arrived', async () => {
    await world.subscribe(A)
    await notify({ notification_id: 'old', collapse_key: 'score' })
    await notify({ notification_id: 'new', collapse_key: 'score' })
    expect(await receiptsOf('old')).toEqual({ [A]: 'Replaced by a newer notification' })
    expect(await outboxed()).toBe(1)
  })
})

describe('a cancelled notification', () => {
  it('is taken back from who has not been sent it, and stays away', async () => {
    await world.subscribe(A)
    await world.subscribe(B)
    await notify({ notification_id: 'n', accounts: [A] })
    await deliverAll()
    await notify({ notification_id: 'n', accounts: [A, B] })
    expect(await remove('notifications/n')).toEqual({ cancelled: 1 })
    expect(await remove('notifications/n')).toEqual({ cancelled: 0 })
    expect(await receiptsOf('n')).toEqual({ [A]: 'published', [B]: 'Cancelled' })
    expect(await get('notifications/n')).toMatchObject({ status: 'cancelled' })
    await world.subscribe(C)
    expect(await notify({ notification_id: 'n', accounts: [A, B, C] })).toMatchObject({
      sent: [A],
      failed: [
        { account: B, reason: 'Cancelled' },
        { account: C, reason: 'Cancelled' },
      ],
    })
    expect(await outboxed()).toBe(0)
  })

  it('that has left is not cancelled any more', async () => {
    await world.subscribe(A)
    await notify({ notification_id: 'n' })
    await deliverAll()
    expect(await remove('notifications/n')).toEqual({ cancelled: 0 })
    expect(await get('notifications/n')).toMatchObject({ status: 'done' })
  })
})

describe('a scheduled notification', () => {
  const inAnHour = () => ({ deliver_at: new Date(world.clock.now() + HOUR).toISOString() })

  it('goes out when it is due, to who is subscribed then', async () => {
    startWork()
    await world.subscribe(A)
    const { deliver_at } = inAnHour()
    const answer = await notify({ notification_id: 'n', accounts: [A, B], deliver_at })
    expect(answer).toEqual({
      sent: [],
      failed: [],
      not_found: [],
      scheduled: [A, B],
      notifications: [{ notification_id: 'n', status: 'scheduled' }],
    })
    expect(await get('notifications/n')).toMatchObject({ status: 'scheduled', deliver_at, created_at: null })
    expect(await get('notifications?status=scheduled')).toMatchObject({
      notifications: [{ notification_id: 'n', status: 'scheduled' }],
      next: null,
    })
    await passed(HOUR - 10_000)
    expect(await outboxed()).toBe(0)
    await world.unsubscribe(A)
    await world.subscribe(B)
    await passed(10_000)
    await eventually(async () => {
      await passed(1_000)
      expect(await receiptsOf('n')).toEqual({ [B]: 'queued' })
      expect(await get('notifications?status=scheduled')).toEqual({ notifications: [], next: null })
    })
    expect(await get('notifications')).toMatchObject({ notifications: [{ notification_id: 'n' }] })
  })

  it('of several calls is one notification, with the content of the first', async () => {
    startWork()
    await world.subscribe(A)
    await world.subscribe(B)
    const later = inAnHour()
    await notify({ notification_id: 'n', accounts: [A], ...later })
    const other = { ...notification, title: 'Other' }
    await notify({ notification_id: 'n', accounts: [B], notification: other, ...later })
    await notify({ notification_id: 'n', accounts: [B], notification: other, ...later })
    const listed = Object(await get('notifications?status=scheduled&limit=1'))
    expect(listed).toMatchObject({ notifications: [{ notification: { title: 'Hello' } }], next: null })
    await passed(HOUR)
    await eventually(async () => {
      await passed(1_000)
      expect(await receiptsOf('n')).toEqual({ [A]: 'queued', [B]: 'queued' })
    })
    expect(await get('notifications/n')).toMatchObject({ notification: { title: 'Hello' } })
    expect(await outboxed()).toBe(2)
    // The same call once more, when it has begun.
    expect(await notify({ notification_id: 'n', accounts: [A], ...later })).toMatchObject({ sent: [A] })
    expect(await outboxed()).toBe(2)
  })

  it('that is cancelled reaches nobody, whoever repeats the call', async () => {
    startWork()
    await world.subscribe(A)
    const later = inAnHour()
    await notify({ notification_id: 'n', accounts: [A, B], ...later })
    expect(await remove('notifications/n')).toEqual({ cancelled: 2 })
    expect(await get('notifications/n')).toMatchObject({ status: 'cancelled', counts: { failed: 2 } })
    expect(await notify({ notification_id: 'n', ...later })).toMatchObject({
      sent: [],
      failed: [{ account: A, reason: 'Cancelled' }],
    })
    await passed(2 * HOUR)
    expect(await outboxed()).toBe(0)
    expect(await receiptsOf('n')).toEqual({ [A]: 'Cancelled', [B]: 'Cancelled' })
  })

  it('whose ttl ended while nothing ran fails, and says so', async () => {
    await world.subscribe(A)
    await notify({ notification_id: 'n', ttl: 60, ...inAnHour() })
    await passed(HOUR + 61_000)
    startWork()
    await eventually(async () => {
      await passed(1_000)
      expect(await receiptsOf('n')).toEqual({ [A]: 'Expired before delivery' })
    })
    expect(await outboxed()).toBe(0)
  })

  it('for a time that is past goes out at once', async () => {
    await world.subscribe(A)
    const answer = await notify({ deliver_at: world.clock.now() - 1 })
    expect(answer).toMatchObject({ sent: [A], notifications: [{ status: 'queued' }] })
  })

  it('stands in a list whose pages hold each once', async () => {
    const later = inAnHour()
    for (let n = 0; n < 7; n++) {
      await notify({ notification_id: `n${n}`, accounts: [A], ...later })
      await notify({ notification_id: `n${n}`, accounts: [B], ...later })
    }
    const seen: string[] = []
    for (let after = ''; ; ) {
      const page: { notifications: { notification_id: string }[]; next: string | null } = Object(
        await get(`notifications?status=scheduled&limit=3${after}`),
      )
      seen.push(...page.notifications.map((one) => one.notification_id))
      if (page.next === null) break
      after = `&after=${page.next}`
    }
    expect(seen.sort()).toEqual(['n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6'])
  })
})

describe('a broadcast', () => {
  it('reaches all live subscribers of the type, and tells how far it is', async () => {
    const accounts = Array.from({ length: 250 }, (_, at) => `eip155:1:${addressOf(at + 1)}`)
    for (const [at, account] of accounts.entries()) {
      await world.subscribe(account, { scope: [at % 10 === 0 ? OFFERS : NEWS] })
    }
    const { status, body } = await broadcast({ notification_id: 'b' })
    expect({ status, body }).toEqual({ status: 202, body: { id: 'b', status: 'running' } })
    expect(await get('broadcasts/b')).toMatchObject({ status: 'running', total: null, handed: 0 })
    startWork()
    await eventually(async () => {
      await passed(1_000)
      expect(await get('broadcasts/b')).toMatchObject({
        status: 'done',
        total: 250,
        handed: 225,
        skipped: 25,
        counts: { queued: 225 },
      })
    })
    // The same id again is the same broadcast.
    expect((await broadcast({ notification_id: 'b' })).body).toEqual({ id: 'b', status: 'done' })
    await passed(5_000)
    expect(await outboxed()).toBe(225)
  })

  it('goes on only while the outbox is short, and is cancelled half way', async () => {
    const accounts = Array.from({ length: 900 }, (_, at) => `eip155:1:${addressOf(at + 1)}`)
    for (const account of accounts) await world.subscribe(account)
    await broadcast({ notification_id: 'b' })
    startWork()
    await eventually(async () => {
      await passed(100)
      expect(await outboxed()).toBe(400)
    })
    // The page is behind it, too, and not only in the outbox.
    await eventually(async () => expect(await get('broadcasts/b')).toMatchObject({ handed: 400 }))
    await passed(30_000)
    expect(await outboxed()).toBe(400)
    await deliverAll()
    await eventually(async () => {
      await passed(100)
      expect(await outboxed()).toBe(400)
    })
    await eventually(async () => expect(await get('broadcasts/b')).toMatchObject({ handed: 800 }))
    expect(await get('notifications/b')).toMatchObject({ status: 'queued', counts: { published: 400 } })
    expect(await remove('broadcasts/b')).toEqual({ cancelled: 400 })
    await passed(30_000)
    // A page that was being handed over at that moment is taken back, too, once it is there.
    await eventually(async () => expect(await outboxed()).toBe(0))
    expect(await get('broadcasts/b')).toMatchObject({
      status: 'cancelled',
      counts: { published: 400, failed: expect.toSatisfy((failed) => failed === 400 || failed === 500) },
    })
  })

  it('takes turns with those of other projects, and its own project sends one after another', async () => {
    const { project, secret } = await world.apps.createProject({ name: 'Other' })
    await world.apps.enrol({
      projectId: project.id,
      domain: 'b.example',
      types: [{ id: NEWS, name: 'News' }],
    })
    for (let at = 1; at <= 450; at++) {
      const account = `eip155:1:${addressOf(at)}`
      await world.subscribe(account)
      await world.subscribe(account, { domain: 'b.example' })
    }
    await broadcast({ notification_id: 'first' })
    await passed(1)
    await broadcast({ notification_id: 'second' })
    await world.call(
      'POST',
      `/v1/${project.id}/broadcasts`,
      { notification_id: 'other', notification },
      { authorization: `Bearer ${secret}` },
    )
    const order: string[] = []
    startWork()
    await eventually(async () => {
      for (const { task } of await world.outbox()) {
        if (task.kind === 'notification' && order.at(-1) !== task.notificationId) {
          order.push(task.notificationId)
        }
      }
      await deliverAll()
      await passed(100)
      for (const one of ['first', 'second']) {
        expect(await get(`broadcasts/${one}`)).toMatchObject({ status: 'done', handed: 450 })
      }
    }, 30_000)
    expect(order.indexOf('other')).toBeLessThan(order.indexOf('second'))
    expect(order.lastIndexOf('first')).toBeLessThan(order.indexOf('second'))
    expect(order.indexOf('other')).toBeLessThan(order.lastIndexOf('first'))
  })

  it('for later begins when it is due, unless it is cancelled', async () => {
    startWork()
    await world.subscribe(A)
    const deliver_at = world.clock.now() + HOUR
    for (const name of ['kept', 'cancelled']) {
      expect((await broadcast({ notification_id: name, deliver_at })).body).toEqual({
        id: name,
        status: 'scheduled',
      })
    }
    await passed(10_000)
    expect(await outboxed()).toBe(0)
    expect(await remove('broadcasts/cancelled')).toEqual({ cancelled: 0 })
    await passed(HOUR)
    await eventually(async () => {
      await passed(1_000)
      expect(await get('broadcasts/kept')).toMatchObject({ status: 'done', handed: 1 })
      expect(await get('broadcasts/cancelled')).toMatchObject({ status: 'cancelled', handed: 0 })
    })
    expect(await outboxed()).toBe(1)
  })

  it('of a type that the app does not have is refused', async () => {
    const answer = await broadcast({ notification: { ...notification, type: 'unknown' } })
    expect(answer).toMatchObject({ status: 422, body: { field: 'notification.type' } })
  })
})

describe('the settings of a project', () => {
  it('say how long what it sends is kept from now on', async () => {
    await world.subscribe(A)
    expect(await get('settings')).toEqual({ retention_days: 30 })
    const put = (retention_days: unknown) => world.call('PUT', `/v1/${id}/settings`, { retention_days })
    expect((await put(90)).body).toEqual({ retention_days: 90 })
    await notify({ notification_id: 'n' })
    expect(await get('notifications/n')).toMatchObject({
      deliver_by: new Date(world.clock.now() + 30 * DAY).toISOString(),
      expires_at: new Date(world.clock.now() + 90 * DAY).toISOString(),
    })
    for (const wrong of [0, 1.5, 3651, '90', null]) {
      expect(await put(wrong)).toMatchObject({ status: 422, body: { field: 'retention_days' } })
    }
    expect(await get('settings')).toEqual({ retention_days: 90 })
  })
})
