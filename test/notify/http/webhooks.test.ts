/** Webhooks, the welcome notification and clicks as dapps ask for them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accountKey } from '../../../src/protocol/caip.ts'
import { held } from '../../contract/notify-samples.ts'
import { addressOf, type HttpWorld, NEWS, OFFERS, startWithApp } from '../../support/world/notify-http.ts'

let world: HttpWorld
let id: string
beforeAll(async () => {
  world = await startWithApp()
  id = world.project.id
})
afterAll(() => world[Symbol.asyncDispose]())

const URL_THERE = 'http://127.0.0.1:1/hook'
const register = async (body: unknown = { url: URL_THERE, events: ['subscribed'] }) => {
  const answer = await world.call('POST', `/${id}/register-webhook`, body)
  return { ...answer, id: String(Object(answer.body).id) }
}

describe('webhooks', () => {
  it('are registered, listed, changed and taken away', async () => {
    const made = await register({ url: URL_THERE, events: ['subscribed', 'unsubscribed', 'subscribed'] })
    expect(made).toMatchObject({
      status: 201,
      body: { id: expect.any(String), secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) },
    })
    const listed = async () => Object(await world.call('GET', `/${id}/webhooks`)).body[made.id]
    expect(await listed()).toEqual({
      url: URL_THERE,
      events: ['subscribed', 'unsubscribed'],
      state: 'pending',
      reason: null,
      created_at: new Date(world.clock.now()).toISOString(),
    })
    const other = 'http://127.0.0.1:2/hook'
    const path = `/${id}/webhooks/${made.id}`
    expect(await world.call('PUT', path, { url: other, events: ['read'] })).toMatchObject({ status: 204 })
    expect(await listed()).toMatchObject({ url: other, events: ['read'] })
    const rotated = await world.call('PUT', path, { rotate_secret: true })
    expect(rotated).toMatchObject({
      status: 200,
      body: { id: made.id, secret: expect.stringMatching(/^whsec_/) },
    })
    expect(Object(rotated.body).secret).not.toBe(Object(made.body).secret)
    expect(await listed()).toMatchObject({ url: other, events: ['read'] })
    expect(await world.call('DELETE', path)).toMatchObject({ status: 204 })
    expect(await listed()).toBeUndefined()
    for (const method of ['DELETE', 'PUT']) {
      const body = method === 'PUT' ? {} : undefined
      expect(await world.call(method, path, body)).toMatchObject({ status: 404, body: { code: 'not_found' } })
    }
  })

  it.each([
    ['http://169.254.169.254/latest', 'its address is not a public one'],
    ['https://169.254.169.254/latest', 'its address is not a public one'],
    ['https://[::1]/', 'its address is not a public one'],
    ['https://10.0.0.1/', 'its address is not a public one'],
    ['https://user:word@example.com/', 'it holds a user name or a password'],
    ['ftp://127.0.0.1/', 'it is not https'],
    ['nonsense', 'it is not a URL'],
    ['https://no-such-name.invalid/', 'its name has no address'],
  ])('are not registered for %s', async (url, why) => {
    const { status, body } = await register({ url, events: ['read'] })
    expect(status).toBe(422)
    expect(body).toMatchObject({ code: 'bad_params', field: 'url' })
    expect(Object(body).error).toContain(why)
    const change = await world.call('PUT', `/${id}/webhooks/${(await register()).id}`, { url })
    expect(change).toMatchObject({ status: 422, body: { field: 'url' } })
  })

  it.each([
    [{ url: URL_THERE, events: [] }, 'events'],
    [{ url: URL_THERE, events: ['else'] }, 'events[0]'],
    [{ url: URL_THERE }, 'events'],
    [{ events: ['read'] }, 'url'],
    [{ url: `${URL_THERE}?${'x'.repeat(2048)}`, events: ['read'] }, 'url'],
  ])('are not registered as %o', async (body, field) => {
    expect(await register(body)).toMatchObject({ status: 422, body: { code: 'bad_params', field } })
  })

  it('belong to their project, whose secret they ask for', async () => {
    const made = await register()
    const other = await world.apps.createProject({ name: 'Other' })
    const theirs = { authorization: `Bearer ${other.secret}` }
    const paths = [
      ['PUT', `/webhooks/${made.id}`, {}],
      ['DELETE', `/webhooks/${made.id}`, undefined],
    ] as const
    for (const [method, path, body] of paths) {
      expect((await world.call(method, `/${id}${path}`, body, theirs)).status).toBe(401)
      expect((await world.call(method, `/${other.project.id}${path}`, body, theirs)).status).toBe(404)
    }
    const letters = `/webhooks/${made.id}/dead-letters`
    expect((await world.call('GET', `/v1/${other.project.id}${letters}`, undefined, theirs)).status).toBe(404)
    expect(await world.call('GET', `/${other.project.id}/webhooks`, undefined, theirs)).toMatchObject({
      status: 200,
      body: {},
    })
  })

  it('are at most twenty', async () => {
    const { project, secret } = await world.apps.createProject({ name: 'Many' })
    const body = { url: URL_THERE, events: ['read'] }
    const all = await Promise.all(
      Array.from({ length: 24 }, () =>
        world.call('POST', `/${project.id}/register-webhook`, body, { authorization: `Bearer ${secret}` }),
      ),
    )
    expect(all.filter(({ status }) => status === 201)).toHaveLength(20)
    expect(all.filter(({ status }) => status === 422)).toHaveLength(4)
    const { webhooks } = await world.store.webhooks(project.id)
    expect(webhooks).toHaveLength(20)
  })

  it('show dead letters page by page, and replay them', async () => {
    const made = await register({ url: URL_THERE, events: ['delivered'] })
    const job = (n: number) => ({
      ...{ queue: 'webhooks', id: `${made.id}.event-${n}`, group: made.id },
      ...{ at: world.clock.now(), expiresAt: world.clock.now() + 1_000_000, attempts: 0 },
      body: {
        ...{ projectId: id, webhookId: made.id, eventId: `event-${n}` },
        event: { type: 'delivered', timestamp: 'then', data: { n } },
      },
    })
    await world.jobQueue.add([job(1), job(2), job(3)])
    await world.jobQueue.complete(
      'webhooks',
      [1, 2, 3].map((n) => ({ id: job(n).id, kind: 'failed', attempts: 24, failure: 'it answered 500' })),
    )
    const letters = `/v1/${id}/webhooks/${made.id}/dead-letters`
    const event = { type: 'delivered', timestamp: 'then' }
    const first = await world.call('GET', `${letters}?limit=2`)
    expect(first.body).toEqual({
      dead_letters: [1, 2].map((n) => ({
        ...{ id: `event-${n}`, attempts: 24, failure: 'it answered 500' },
        event: { ...event, data: { n } },
      })),
      next: 'event-2',
    })
    const rest = await world.call('GET', `${letters}?limit=2&after=event-2`)
    expect(rest.body).toMatchObject({ dead_letters: [{ id: 'event-3' }], next: null })
    expect((await world.call('GET', `${letters}?limit=0`)).status).toBe(422)
    expect((await world.call('POST', `${letters}/event-2/replay`)).status).toBe(204)
    expect((await world.call('POST', `${letters}/event-2/replay`)).status).toBe(404)
    expect((await world.call('POST', `${letters}/${'x'.repeat(100)}/replay`)).status).toBe(422)
    expect((await world.call('POST', `${letters}/replay`)).body).toEqual({ replayed: 2 })
    expect(await world.jobQueue.count('webhooks', made.id)).toEqual({ waiting: 4, dead: 0 })
  })
})

describe('the welcome notification', () => {
  const path = () => `/v0/${id}/welcome-notification`
  const welcome = { enabled: true, type: NEWS, title: 'Welcome', body: 'Good to see you', url: '/start' }

  it('is null, then what was posted; a named app has its own', async () => {
    expect(await world.call('GET', path())).toMatchObject({ status: 200, body: null })
    expect(await world.call('POST', path(), welcome)).toMatchObject({ status: 204 })
    expect((await world.call('GET', path())).body).toEqual(welcome)
    await world.apps.enrol({
      projectId: id,
      domain: 'second.example',
      types: [{ id: OFFERS, name: 'Offers' }],
    })
    const second = { ...welcome, enabled: false, type: OFFERS, url: null }
    expect((await world.call('POST', path(), { ...second, appDomain: 'second.example' })).status).toBe(204)
    expect((await world.call('GET', `${path()}?appDomain=second.example`)).body).toEqual(second)
    expect((await world.call('GET', path())).body).toEqual(welcome)
    // What else the app says stays as it is, and the other way round.
    await world.apps.describe('second.example', { name: 'Second' })
    expect(await world.store.app('second.example')).toMatchObject({ name: 'Second', welcome: second })
  })

  it.each([
    [{ ...welcome, type: 'unknown' }, 'type'],
    [{ ...welcome, title: '' }, 'title'],
    [{ ...welcome, body: 'x'.repeat(256) }, 'body'],
    [{ ...welcome, url: 'javascript:alert(1)' }, 'url'],
    [{ ...welcome, enabled: 'yes' }, 'enabled'],
  ])('is not %o', async (body, field) => {
    expect(await world.call('POST', path(), body)).toMatchObject({ status: 422, body: { field } })
  })

  it('asks for an app', async () => {
    const { project, secret } = await world.apps.createProject({ name: 'Empty' })
    const theirs = { authorization: `Bearer ${secret}` }
    const empty = `/v0/${project.id}/welcome-notification`
    expect((await world.call('GET', empty, undefined, theirs)).status).toBe(404)
    expect((await world.call('POST', empty, welcome, theirs)).status).toBe(404)
    expect((await world.call('GET', `${path()}?appDomain=none.example`)).status).toBe(404)
  })
})

describe('clicks', () => {
  it('are counted for each copy and for all, and mark nothing as read', async () => {
    const accounts = [1, 2, 3].map((n) => `eip155:1:${addressOf(n)}`)
    for (const account of accounts) await world.subscribe(account)
    await world.apps.describe('app.example', { links: true })
    await world.publishing.notify(id, [
      {
        notificationId: 'linked',
        notification: { type: NEWS, title: 'Title', body: 'Body', icon: null, url: '/there' },
        accounts,
      },
    ])
    const links = `/v1/${id}/notifications/linked/links`
    expect(await world.call('GET', links)).toMatchObject({
      status: 200,
      body: { clicks: 0, accounts: 0, first_click_at: null, days: [] },
    })
    const copies = (await world.outbox()).flatMap(({ id: copy, task }) =>
      task.kind === 'notification' && task.notificationId === 'linked' ? [{ copy, task }] : [],
    )
    const copyOf = (n: number) =>
      copies.find(({ task }) => task.accountKey === accountKey(accounts[n] ?? ''))?.copy
    const firstAt = new Date(world.clock.now()).toISOString()
    const follow = (n: number, method = 'GET') => world.call(method, `/v1/notification/${copyOf(n)}`)
    expect((await follow(0)).headers.get('location')).toBe('https://app.example/there')
    await world.clock.advance(1_000)
    for (let click = 0; click < 3; click++) expect((await follow(0)).status).toBe(307)
    expect((await follow(1)).status).toBe(307)
    // Who only looks where it leads does not click.
    expect((await follow(2, 'HEAD')).status).toBe(307)

    const days = [{ day: firstAt.slice(0, 10), count: 5 }]
    const all = { clicks: 5, accounts: 2, first_click_at: firstAt, days }
    expect((await world.call('GET', links)).body).toEqual(all)
    const secondAt = new Date(world.clock.now()).toISOString()
    const of = async (account = '') =>
      (await world.call('GET', `${links}?account=${encodeURIComponent(account)}`)).body
    expect(await of(accounts[0])).toEqual({ ...all, account: { clicks: 4, first_click_at: firstAt } })
    expect(await of(accounts[1])).toEqual({ ...all, account: { clicks: 1, first_click_at: secondAt } })
    expect(await of(accounts[2])).toEqual({ ...all, account: { clicks: 0, first_click_at: null } })
    const { record } = await world.store.account(accountKey(accounts[0] ?? ''))
    expect(
      await world.store.unreadCounts(
        held(accountKey(accounts[0] ?? ''), ...record.subscriptions.map((one) => one.id)),
      ),
    ).toEqual([1])

    expect(await world.call('GET', `${links}?account=nobody`)).toMatchObject({
      status: 422,
      body: { field: 'account' },
    })
    expect((await world.call('GET', `/v1/${id}/notifications/unknown/links`)).status).toBe(404)
    expect((await world.call('GET', `${links}?appDomain=none.example`)).status).toBe(404)
    expect((await world.call('GET', '/v1/notification/00000000-0000-8000-8000-000000000000')).status).toBe(
      404,
    )
  })

  it('go when the notification is swept', async () => {
    const account = `eip155:1:${addressOf(9)}`
    await world.subscribe(account)
    await world.apps.describe('app.example', { links: true })
    await world.publishing.notify(id, [
      {
        notificationId: 'old',
        notification: { type: NEWS, title: 'Title', body: 'Body', icon: null, url: '/there' },
        accounts: [account],
      },
    ])
    const kept = await world.store.notification(id, 'app.example', 'old')
    const entry = (await world.outbox()).find(
      ({ task }) => task.kind === 'notification' && task.notificationId === 'old',
    )
    if (!kept || !entry) throw new Error('it was sent')
    await world.call('GET', `/v1/notification/${entry.id}`)
    expect(await world.store.clicks(kept)).toMatchObject({ count: 1 })
    await world.kv.sweep(kept.expiresAt + 1, 1_000)
    expect(await world.store.clicks(kept)).toBeUndefined()
    expect(await world.store.copyClicks(kept, entry.id)).toBeUndefined()
  })
})
