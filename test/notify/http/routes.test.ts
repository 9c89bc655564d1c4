import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { accountKey } from '../../../src/protocol/caip.ts'
import {
  addressOf,
  type HttpWorld,
  NEWS,
  OFFERS,
  PUBLIC_URL,
  startWithApp,
} from '../../support/world/notify-http.ts'

let world: HttpWorld
let id: string
beforeEach(async () => {
  world = await startWithApp()
  id = world.project.id
})
afterEach(() => world[Symbol.asyncDispose]())

const A = `eip155:1:${addressOf(0xa)}`
const B = `eip155:1:${addressOf(0xb)}`
const C = `eip155:1:${addressOf(0xc)}`
const notification = { type: NEWS, title: 'Hello', body: 'World' }

describe('subscribe-topic', () => {
  it('answers the public keys, the same ones each time', async () => {
    const first = await world.call('POST', `/${id}/subscribe-topic`, { appDomain: 'new.example' })
    const record = await world.store.app('new.example')
    expect(first.status).toBe(200)
    expect(first.body).toEqual({
      authenticationKey: record?.authenticationKey,
      subscribeKey: record?.subscribeKey,
    })
    expect(record?.authenticationKey).toMatch(/^[0-9a-f]{64}$/)
    expect(world.joined).toContain(record?.subscribeTopic)
    const again = await world.call('POST', `/${id}/subscribe-topic`, { appDomain: 'new.example' })
    expect(again.body).toEqual(first.body)
  })

  it('is refused with 409 when another project holds the domain', async () => {
    const { project, secret } = await world.apps.createProject()
    const answer = await world.call(
      'POST',
      `/${project.id}/subscribe-topic`,
      { appDomain: 'app.example' },
      { authorization: `Bearer ${secret}` },
    )
    expect(answer).toMatchObject({
      status: 409,
      body: {
        error: 'This is already taken: another project holds this domain',
        code: 'conflict',
        field: 'appDomain',
      },
    })
  })

  it.each(['App.example', 'https://app.example', '', 'a b', 'a/b', 'a'.repeat(254)])(
    'is refused with 422 for the domain %j',
    async (appDomain) => {
      const answer = await world.call('POST', `/${id}/subscribe-topic`, { appDomain })
      expect(answer).toMatchObject({ status: 422, body: { code: 'bad_params', field: 'appDomain' } })
    },
  )
})

describe('the project secret', () => {
  const routes: [string, string][] = [
    ['POST', '/subscribe-topic'],
    ['POST', '/notify'],
    ['POST', '/v1/notify'],
    ['GET', '/subscribers'],
    ['GET', '/v1/subscribers'],
    ['POST', '/v1/subscribers'],
    ['POST', '/v1/mark-all-as-read'],
    ['GET', '/v1/apps'],
    ['GET', '/v1/apps/app.example'],
    ['PUT', '/v1/apps/app.example'],
    ['GET', '/v1/notifications'],
    ['GET', '/v1/notifications/n'],
    ['DELETE', '/v1/notifications/n'],
    ['GET', '/v1/notifications/n/receipts'],
    ['POST', '/v1/broadcasts'],
    ['GET', '/v1/broadcasts/n'],
    ['DELETE', '/v1/broadcasts/n'],
    ['GET', '/v1/settings'],
    ['PUT', '/v1/settings'],
  ]
  const pathOf = (path: string, project: string) =>
    path.startsWith('/v1/') ? path.replace('/v1/', `/v1/${project}/`) : `/${project}${path}`

  it.each(routes)('is asked for by %s %s, before anything else', async (method, path) => {
    const { secret: foreign } = await world.apps.createProject()
    for (const authorization of [
      '',
      'Bearer',
      'Bearer wrong',
      `Bearer ${foreign}`,
      `Basic ${world.secret}`,
    ]) {
      const body = method === 'GET' ? undefined : 'not json'
      const answer = await world.call(method, pathOf(path, id), body, { authorization })
      expect(answer).toMatchObject({ status: 401, body: { code: 'unauthenticated' } })
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
    const unknown = await world.call(method, pathOf(path, 'unknown'), method === 'GET' ? undefined : {})
    expect(unknown.status).toBe(401)
  })
})

describe('notify', () => {
  it('v0 takes one notification', async () => {
    await world.subscribe(A)
    await world.subscribe(B, { scope: [OFFERS] })
    const answer = await world.call('POST', `/${id}/notify`, { notification, accounts: [A, B, C] })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({
      sent: [A],
      failed: [{ account: B, reason: 'Client is not subscribed to this notification type' }],
      not_found: [C],
    })
    expect(answer.headers.get('notification-ids')).toMatch(/^[0-9a-f-]{36}$/)
    expect(await world.store.outboxSize()).toBe(1)
  })

  it('takes the name of a type for its id, in whichever app has it', async () => {
    await world.subscribe(A)
    await world.subscribe(B, { scope: [OFFERS] })
    const named = { ...notification, type: 'Offers' }
    for (const [path, body] of [
      [`/${id}/notify`, { notification: named, notification_id: 'zero', accounts: [A, B] }],
      [`/v1/${id}/notify`, [{ notification: named, notification_id: 'one', accounts: [A, B] }]],
    ] as const) {
      const answer = await world.call('POST', path, body)
      expect(answer.body).toMatchObject({ sent: [B], failed: [{ account: A }] })
    }
    for (const given of ['zero', 'one']) {
      expect(await world.store.notification(id, 'app.example', given)).toMatchObject({ type: OFFERS })
    }
    expect(
      await world.call('POST', `/${id}/notify`, {
        notification: { ...notification, type: 'No such type' },
        accounts: [A],
      }),
    ).toMatchObject({
      status: 422,
      body: {
        error:
          'The parameters are not valid: notification.type: app.example has no type "No such type"; its types: "News", "Offers"',
        field: 'notification.type',
      },
    })
  })

  it('v1 takes several, and answers over the whole call', async () => {
    await world.subscribe(A)
    await world.subscribe(B)
    const answer = await world.call('POST', `/v1/${id}/notify`, [
      { notification_id: 'one', notification, accounts: [A] },
      { notificationId: 'two', notification, accounts: [B, C] },
      { notification_id: null, notification: { ...notification, type: OFFERS }, accounts: [A] },
    ])
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({
      sent: [A, B],
      failed: [{ account: A, reason: 'Client is not subscribed to this notification type' }],
      not_found: [C],
    })
    for (const given of ['one', 'two']) {
      expect(await world.store.notification(id, 'app.example', given)).toMatchObject({
        id: given,
        title: 'Hello',
      })
    }
  })

  it('again with the same id gives the same answer and sends nothing', async () => {
    await world.subscribe(A)
    const body = [{ notification_id: 'once', notification, accounts: [A, B] }]
    const first = await world.call('POST', `/v1/${id}/notify`, body)
    const again = await world.call('POST', `/v1/${id}/notify`, body)
    expect(again.body).toEqual(first.body)
    expect(await world.store.outboxSize()).toBe(1)
  })

  it('takes icon and url as links, and null and "" as none', async () => {
    await world.subscribe(A)
    const send = async (notification_id: string, icon: unknown, url: unknown) => {
      const body = { notification_id, notification: { ...notification, icon, url }, accounts: [A] }
      expect((await world.call('POST', `/${id}/notify`, body)).status).toBe(200)
      const { icon: kept, url: link } =
        (await world.store.notification(id, 'app.example', notification_id)) ?? {}
      return [kept, link]
    }
    expect(await send('1', 'https://app.example/i.png', '/inbox?x=1#y')).toEqual([
      'https://app.example/i.png',
      '/inbox?x=1#y',
    ])
    expect(await send('2', '', null)).toEqual([null, null])
    expect(await send('3', undefined, undefined)).toEqual([null, null])
  })

  const wrong: [field: string, change: Record<string, unknown>, message?: Record<string, unknown>][] = [
    ['notification.title', { title: '' }],
    ['notification.title', { title: 'x'.repeat(65) }],
    ['notification.title', { title: 5 }],
    ['notification.body', { body: '' }],
    ['notification.body', { body: 'x'.repeat(256) }],
    ['notification.type', { type: 'A type' }],
    ['notification.type', { type: undefined }],
    ['notification.icon', { icon: 'data:image/png;base64,AAAA' }],
    ['notification.icon', { icon: `https://app.example/${'x'.repeat(240)}` }],
    ['notification.url', { url: 'javascript:alert(1)' }],
    ['notification.url', { url: '//else.example' }],
    ['notification.url', { url: '/\\else.example' }],
    ['notification.url', { url: 'not a url' }],
    ['notification', {}, { notification: undefined }],
    ['notification', {}, { notification: [] }],
    ['notification_id', {}, { notification_id: '' }],
    ['notification_id', {}, { notification_id: 'x'.repeat(256) }],
    ['notification_id', {}, { notification_id: 1e300 }],
    ['appDomain', {}, { appDomain: 'No' }],
    ['accounts', {}, { accounts: undefined }],
    ['accounts', {}, { accounts: A }],
    ['accounts', {}, { accounts: Array(501).fill(A) }],
    ['accounts', {}, { accounts: Array(20_000).fill(0) }],
    ['accounts[1]', {}, { accounts: [A, 'nobody', 'nobody else'] }],
    ['accounts[0]', {}, { accounts: ['eip155:1:0xFB6916095ca1df60bb79ce92ce3ea74c37c5d359'] }],
    ['accounts[2]', {}, { accounts: [A, B, 7] }],
  ]
  it.each(wrong)('is refused with 422 for %s: %j %j', async (field, change, message = {}) => {
    await world.subscribe(A)
    const good = { notification, accounts: [A] }
    const bad = { notification: { ...notification, ...change }, accounts: [A], ...message }
    const one = await world.call('POST', `/${id}/notify`, bad)
    expect(one).toMatchObject({ status: 422, body: { code: 'bad_params', field } })
    expect(one.body).toMatchObject({
      error: expect.stringContaining(`The parameters are not valid: ${field}: `),
    })
    const many = await world.call('POST', `/v1/${id}/notify`, [good, bad])
    expect(many).toMatchObject({ status: 422, body: { code: 'bad_params', field: `[1].${field}` } })
    expect(await world.store.outboxSize()).toBe(0)
  })

  it('counts lengths in characters', async () => {
    const body = { notification: { ...notification, title: '🔔'.repeat(64) }, accounts: [] }
    expect((await world.call('POST', `/${id}/notify`, body)).status).toBe(200)
    body.notification.title += '🔔'
    expect((await world.call('POST', `/${id}/notify`, body)).status).toBe(422)
  })

  it('takes at most 500 accounts a call, whatever they are spread over', async () => {
    const part = (length: number) => ({ notification, accounts: Array(length).fill(A) })
    expect((await world.call('POST', `/v1/${id}/notify`, [part(250), part(250)])).status).toBe(200)
    expect(await world.call('POST', `/v1/${id}/notify`, [part(250), part(250), part(1)])).toMatchObject({
      status: 422,
      body: { field: '[2].accounts', error: expect.stringContaining('at most 500 accounts') },
    })
    expect((await world.call('POST', `/v1/${id}/notify`, [])).status).toBe(422)
    expect((await world.call('POST', `/v1/${id}/notify`, { notification, accounts: [] })).status).toBe(422)
  })

  it('names the app that is not there', async () => {
    const body = { notification, accounts: [A], appDomain: 'other.example' }
    expect(await world.call('POST', `/${id}/notify`, body)).toMatchObject({
      status: 404,
      body: { error: 'The app is not registered: other.example', code: 'unknown_app', field: 'appDomain' },
    })
  })
})

describe('subscribers', () => {
  it('v0 lists accounts', async () => {
    expect(await world.call('GET', `/${id}/subscribers`)).toMatchObject({ status: 200, body: [] })
    await world.subscribe(A)
    await world.subscribe(B)
    expect((await world.call('GET', `/${id}/subscribers`)).body).toEqual([A, B])
    expect((await world.call('GET', `/${id}/subscribers?appDomain=b.example`)).status).toBe(404)
    expect((await world.call('GET', `/${id}/subscribers?appDomain=B`)).status).toBe(422)
  })

  describe('a page at a time', () => {
    const path = (query: Record<string, string> = {}) =>
      `/v1/${id}/subscribers?${new URLSearchParams({ appDomain: '', ...query })}`.replace('appDomain=&', '')
    interface Listed {
      subscribers: { account: string; app_domain: string }[]
      next: string | null
    }
    const pageOf = async (query: Record<string, string>): Promise<Listed> => {
      const { status, body } = await world.call('GET', path(query))
      expect(status).toBe(200)
      return body as Listed
    }
    /** All pages, each as `domain account…`. */
    const pages = async (query: Record<string, string>) => {
      const all: string[][] = []
      let after: string | null = null
      do {
        const { subscribers, next }: Listed = await pageOf({ ...query, ...(after !== null && { after }) })
        all.push(subscribers.map(({ account, app_domain }) => `${app_domain} ${account}`))
        after = next
      } while (after !== null)
      return all
    }

    it('v1 lists who is subscribed to what, and since when', async () => {
      await world.subscribe(A, { scope: [NEWS, OFFERS] })
      const from = world.clock.now()
      expect(await world.call('GET', path({ limit: '10' }))).toMatchObject({
        status: 200,
        body: {
          subscribers: [
            {
              account: A,
              app_domain: 'app.example',
              notification_types: [NEWS, OFFERS],
              subscribed_at: new Date(from).toISOString(),
              expires_at: new Date(from + 30 * 86_400_000).toISOString(),
            },
          ],
          next: null,
        },
      })
    })

    it('goes through all apps, or the one named, and leaves out who has ended', async () => {
      await world.apps.enrol({ projectId: id, domain: 'b.example' })
      for (const account of [A, B, C]) await world.subscribe(account)
      for (const account of [B, C]) await world.subscribe(account, { domain: 'b.example' })
      const app = [A, B, C].map((account) => `app.example ${account}`)
      const b = [B, C].map((account) => `b.example ${account}`)
      expect((await pages({ limit: '2' })).flat()).toEqual([...app, ...b])
      expect((await pages({ limit: '3' })).flat()).toEqual([...app, ...b])
      expect(await pages({ limit: '100' })).toEqual([[...app, ...b]])
      expect((await pages({ limit: '1', appDomain: 'b.example' })).flat()).toEqual(b)
      await world.subscribe(A, { life: 1_000 })
      await world.clock.advance(2_000)
      expect((await pages({ limit: '1' })).flat()).toEqual([...app.slice(1), ...b])
    })

    it('goes on where an app was that is gone, and through a hundred apps without subscribers', async () => {
      await world.subscribe(A)
      expect(await pageOf({ limit: '10', after: 'aaa.example/eip155:0x0' })).toMatchObject({
        subscribers: [{ account: A }],
      })
      for (let at = 0; at < 120; at++) {
        await world.apps.enrol({ projectId: id, domain: `a${`${at}`.padStart(3, '0')}.example` })
      }
      expect(await pages({ limit: '10' })).toEqual([[], [`app.example ${A}`]])
    })

    it.each<[string, Record<string, string>]>([
      ['limit', { limit: '0' }],
      ['limit', { limit: '1001' }],
      ['limit', { limit: 'all' }],
      ['after', { after: 'app.example' }],
      ['after', { after: `app.example/${'x'.repeat(201)}` }],
      ['after', { after: 'app.example/\u{1f514}' }],
      ['appDomain', { appDomain: 'B' }],
    ])('is refused with 422 for a wrong %s: %j', async (field, query) => {
      expect(await world.call('GET', path(query))).toMatchObject({ status: 422, body: { field } })
    })

    it('does not know the app of another project', async () => {
      const { project } = await world.apps.createProject()
      await world.apps.enrol({ projectId: project.id, domain: 'other.example' })
      expect(await world.call('GET', path({ appDomain: 'other.example' }))).toMatchObject({ status: 404 })
    })
  })

  it('v1 answers types by the form that the caller used', async () => {
    await world.subscribe('eip155:1:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359', { scope: [NEWS, OFFERS] })
    const mixed = 'eip155:10:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359'
    expect(await world.call('POST', `/v1/${id}/subscribers`, { accounts: [mixed, B] })).toMatchObject({
      status: 200,
      body: { [mixed]: { notification_types: [NEWS, OFFERS] } },
    })
    expect((await world.call('POST', `/v1/${id}/subscribers`, { accounts: [B] })).body).toEqual({})
  })

  it.each([
    ['accounts', []],
    ['accounts', Array(101).fill(A)],
    ['accounts', A],
    ['accounts[1]', [A, 'x']],
  ])('v1 is refused with 422 for %s: %j', async (field, accounts) => {
    const answer = await world.call('POST', `/v1/${id}/subscribers`, { accounts })
    expect(answer).toMatchObject({ status: 422, body: { field } })
  })
})

describe('mark-all-as-read', () => {
  it('marks, and answers 204 without a body', async () => {
    const subscription = await world.subscribe(A)
    await world.call('POST', `/${id}/notify`, { notification, accounts: [A] })
    expect(await world.call('POST', `/v1/${id}/mark-all-as-read`)).toMatchObject({ status: 204, body: '' })
    expect(await world.store.unreadCounts([subscription.id])).toEqual([0])
  })
})

describe('a notification link', () => {
  it('answers 307, to anybody', async () => {
    await world.subscribe(A)
    await world.call('POST', `/${id}/notify`, {
      notification: { ...notification, url: 'https://app.example/x?y=1' },
      accounts: [A],
    })
    const [entry] = await world.outbox()
    const answer = await world.routes.request(`${PUBLIC_URL}/v1/notification/${entry?.id}`)
    expect(answer.status).toBe(307)
    expect(answer.headers.get('location')).toBe('https://app.example/x?y=1')
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  it.each(['00000000-0000-8000-8000-000000000000', 'x', '%00', '..%2f..', 'x'.repeat(3000)])(
    'answers 404 for %j',
    async (link) => {
      const answer = await world.call('GET', `/v1/notification/${link}`)
      expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } })
    },
  )
})

describe('apps', () => {
  it('are declared, changed and read with the project secret', async () => {
    const declared = await world.call('PUT', `/v1/${id}/apps/localhost%3A3000`, {
      name: 'Local',
      description: 'Here',
      url: 'http://localhost:3000/',
      icons: { sm: 'https://app.example/s.png', lg: null },
      types: [{ id: 'news', name: 'News', description: 'What is new' }, { name: 'Other' }],
      listed: true,
    })
    const record = await world.store.app('localhost:3000')
    expect(declared.status).toBe(200)
    expect(declared.body).toEqual({
      projectId: id,
      domain: 'localhost:3000',
      name: 'Local',
      description: 'Here',
      url: 'http://localhost:3000/',
      icons: { sm: 'https://app.example/s.png', md: '', lg: '' },
      types: [
        { id: 'news', name: 'News', description: 'What is new' },
        { id: expect.stringMatching(/^[0-9a-f-]{36}$/), name: 'Other', description: '' },
      ],
      listed: true,
      links: false,
      authenticationKey: record?.authenticationKey,
      subscribeKey: record?.subscribeKey,
    })
    expect((await world.call('GET', `/v1/${id}/apps/localhost%3A3000`)).body).toEqual(declared.body)
    const changed = await world.call('PUT', `/v1/${id}/apps/localhost%3A3000`, { name: 'Renamed' })
    expect(changed.body).toEqual({ ...Object(declared.body), name: 'Renamed' })
  })

  it('are listed page by page', async () => {
    await world.call('PUT', `/v1/${id}/apps/b.example`, {})
    const domains = async (query: string) => {
      const { body } = await world.call('GET', `/v1/${id}/apps${query}`)
      return JSON.parse(JSON.stringify(body), (key, value) =>
        key === 'apps' ? value.map(Object).map(domainOf) : value,
      )
    }
    const domainOf = (app: { domain?: unknown }) => app.domain
    expect(await domains('')).toEqual({ apps: ['app.example', 'b.example'], next: null })
    expect(await domains('?limit=1')).toEqual({ apps: ['app.example'], next: 'app.example' })
    expect(await domains('?limit=1&after=app.example')).toEqual({ apps: ['b.example'], next: 'b.example' })
    expect(await domains('?after=b.example')).toEqual({ apps: [], next: null })
    for (const limit of ['0', '101', 'x', '1e2', '-1', '9'.repeat(400)]) {
      const answer = await world.call('GET', `/v1/${id}/apps?limit=${limit}`)
      expect(answer).toMatchObject({ status: 422, body: { field: 'limit' } })
    }
  })

  it('of another project are as good as none, and cannot be taken', async () => {
    const { project, secret } = await world.apps.createProject()
    const headers = { authorization: `Bearer ${secret}` }
    const path = `/v1/${project.id}/apps/app.example`
    expect((await world.call('GET', path, undefined, headers)).status).toBe(404)
    expect((await world.call('PUT', path, { name: 'Mine' }, headers)).status).toBe(409)
    expect((await world.apps.byDomain('app.example'))?.record.name).toBe('App')
  })

  it.each([
    ['name', { name: 'x'.repeat(129) }],
    ['url', { url: 'ftp://app.example' }],
    ['icons.sm', { icons: { sm: 'data:,x' } }],
    ['types', { types: {} }],
    ['types[0].name', { types: [{ name: '' }] }],
    ['types[0].id', { types: [{ id: 'A', name: 'a' }] }],
    [
      'types[1].id',
      {
        types: [
          { id: 'aa', name: 'a' },
          { id: 'aa', name: 'b' },
        ],
      },
    ],
    ['listed', { listed: 'yes' }],
  ])('are refused with 422 for %s', async (field, declaration) => {
    const answer = await world.call('PUT', `/v1/${id}/apps/new.example`, declaration)
    expect(answer).toMatchObject({ status: 422, body: { field } })
    expect((await world.call('GET', `/v1/${id}/apps/new.example`)).status).toBe(404)
  })

  it('with a wrong domain are refused with 422, and not found', async () => {
    expect(await world.call('PUT', `/v1/${id}/apps/No%20domain`, {})).toMatchObject({
      status: 422,
      body: { field: 'domain' },
    })
    expect((await world.call('GET', `/v1/${id}/apps/No%20domain`)).status).toBe(404)
    expect((await world.call('GET', `/v1/${id}/apps/${'x'.repeat(3000)}`)).status).toBe(404)
  })
})

describe('paths and methods', () => {
  it.each([
    ['DELETE', '/v1/p/apps/app.example', 'GET, HEAD, PUT'],
    ['GET', '/p/notify', 'POST'],
    ['PATCH', '/.well-known/did.json', 'GET, HEAD'],
    ['POST', '/w3i/v1/projects', 'GET, HEAD'],
    ['PUT', '/v1/notification/x', 'GET, HEAD'],
  ])('%s %s answers 405 and what is allowed', async (method, path, allow) => {
    const answer = await world.call(method, path)
    expect(answer).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } })
    expect(answer.headers.get('allow')?.split(', ').sort().join(', ')).toBe(allow)
  })

  it.each(['/', '/nothing', '/v1', '/v0/p/else', '/p/register-else', '/w3i/v1/else'])(
    '%s answers 404',
    async (path) => {
      expect(await world.call('GET', path)).toMatchObject({
        status: 404,
        body: { error: 'There is nothing here by that name', code: 'not_found' },
      })
    },
  )

  it('may be asked from any web page, failures included', async () => {
    const preflight = await world.call('OPTIONS', `/v1/${id}/notify`, undefined, {
      origin: 'https://wallet.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,content-type')
    const origin = { origin: 'https://wallet.example' }
    for (const path of ['/.well-known/did.json', '/w3i/v1/notify-config?appDomain=none', `/${id}/notify`]) {
      const answer = await world.call('GET', path, undefined, origin)
      expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    }
  })

  it('answer 500 with an id, which the log has too, and nothing internal', async () => {
    const logged: Record<string, unknown>[] = []
    await using other = await startWithApp(logged)
    Object.assign(other.apps, { byDomain: () => Promise.reject(new Error('secret internals')) })
    const { status, body } = await other.call('GET', '/apps/app.example/did.json')
    expect(status).toBe(500)
    expect(body).toEqual({ error: 'Internal server error', code: 'internal', id: expect.any(String) })
    expect(logged).toMatchObject([{ id: Object(body).id, path: '/apps/app.example/did.json' }])
  })
})

it('a person is one subscriber on every chain', async () => {
  await world.subscribe(A)
  const elsewhere = A.replace('eip155:1:', 'eip155:137:')
  expect(accountKey(elsewhere)).toBe(accountKey(A))
  const body = { notification, accounts: [elsewhere] }
  expect((await world.call('POST', `/${id}/notify`, body)).body).toMatchObject({
    sent: [elsewhere],
    failed: [],
    not_found: [],
  })
})
