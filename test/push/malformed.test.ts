/** Whatever is sent to the push routes gets its error, nothing of it is kept, and the next caller is served. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import { concat, toHex, utf8 } from '../../src/protocol/bytes.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { PROVIDER_NAMES } from '../../src/push/store.ts'
import { forgedTokens } from '../security/forged.ts'
import { MALFORMED, MIB } from '../security/malformed.ts'
import { giveCredentials, type PushWorld, startPushWorld } from '../support/push/push-world.ts'

const TOPIC = 'ab'.repeat(32)
const PROJECT = 'p1'

const relay = generateSigningKey()
/** Registered with a token of the client, and without one. */
const [proven, unproven] = [generateSigningKey(), generateSigningKey()]
let push: PushWorld
let before: unknown

/** All that strangers could have left: projects, devices, and what waits for them. */
const kept = async () => {
  const { push: store } = push.world.stores
  const projects = await store.projects()
  const now = Date.now()
  const queues = projects.flatMap(({ id: projectId }) =>
    PROVIDER_NAMES.map((provider) => ({ projectId, provider })),
  )
  return {
    projects,
    devices: await Promise.all(projects.map(({ id }) => store.listDevices(id, { limit: 100, now }))),
    waiting: await Promise.all(queues.map((queue) => store.countWaiting(queue))),
    pushed: [push.fcm, push.apns, push.web].map(({ pushes }) => pushes.length),
  }
}

beforeAll(async () => {
  push = await startPushWorld({ rooms: ['push'], config: { pushRelays: [toHex(relay.publicKey)] } })
  await giveCredentials(push.world, 'default', push)
  await giveCredentials(push.world, PROJECT, push)
  await push.device(PROJECT, proven, { target: { fcm: { token: 'proven' } } })
  await push.register(PROJECT, unproven, 'fcm', 'unproven')
  before = await kept()
  expect(before).toMatchObject({ devices: [{}, { devices: [{}, {}] }] })
})
afterAll(() => push[Symbol.asyncDispose]())

type Body = string | Uint8Array<ArrayBuffer>
type Headers = Record<string, string>
const typed: Headers = { 'content-type': 'application/json' }

const send = async (method: string, path: string, body: Body | undefined, headers: Headers) => {
  const init: RequestInit = { method, headers, ...(body !== undefined && { body }) }
  const answer = await fetch(push.world.url + path, init)
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) }
}
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` })
const asAdmin = () => bearer(push.world.adminToken)

/** As a relay signs what it posts. */
const signed = (body: Body, key: SigningKey = relay, timestamp = Math.floor(Date.now() / 1000)): Headers => {
  const bytes = typeof body === 'string' ? utf8(body) : body
  const text = concat(utf8(`${timestamp}.${bytes.length}.`), bytes)
  return {
    ...typed,
    'X-Ed25519-Signature': toHex(crypto.ed25519Sign(text, key.seed)),
    'X-Ed25519-Timestamp': String(timestamp),
  }
}

/** The published server's shape, or ours. A published caller knows no 422. */
type Shape = 'published' | 'ours'
const shapeOf = (path: string): Shape => (/^\/(push|admin)\//.test(path) ? 'ours' : 'published')

const expectFailure = async (
  path: string,
  answer: { status: number; body: unknown },
  status: number,
  code: string,
) => {
  const isPublished = shapeOf(path) === 'published'
  expect(answer).toMatchObject({
    status: isPublished && status === 422 ? 400 : status,
    body: isPublished
      ? { status: 'FAILURE', errors: [{ name: code, message: expect.any(String) }] }
      : { code, error: expect.any(String) },
  })
  expect(await kept()).toEqual(before)
}

const KIB = 1024
/** Routes with a JSON body, how many bytes they read of it, and who may ask them. */
const BODIES: [method: string, path: string, limit: number, credentials: (body: Body) => Headers][] = [
  ['POST', '/clients', 16 * KIB, () => typed],
  ['POST', `/${PROJECT}/clients`, 16 * KIB, () => typed],
  ['POST', `/clients/${unproven.did}`, 512 * KIB, (body) => signed(body)],
  ['POST', `/${PROJECT}/clients/${unproven.did}`, 512 * KIB, (body) => signed(body)],
  [
    'POST',
    `/push/v1/${PROJECT}/devices`,
    16 * KIB,
    () => ({ ...typed, ...bearer(push.token(proven, 'push_register')) }),
  ],
  ['POST', '/tenants', 256 * KIB, () => ({ ...typed, ...asAdmin() })],
  ['PUT', `/admin/push/projects/${PROJECT}`, MIB, () => ({ ...typed, ...asAdmin() })],
  ['PUT', `/admin/push/projects/${PROJECT}/credentials`, MIB, () => ({ ...typed, ...asAdmin() })],
  ['POST', '/admin/push/test', MIB, () => ({ ...typed, ...asAdmin() })],
]

describe.each(BODIES)('%s %s', (method, path, limit, credentials) => {
  it.each(MALFORMED)('with %s answers its error', async (_, body, status, code) => {
    const answer = await send(method, path, body, credentials(body))
    const isTooLarge = Buffer.byteLength(body) > limit
    await expectFailure(path, answer, isTooLarge ? 413 : status, isTooLarge ? 'too_large' : code)
  })

  it('with a body of 2 MiB that is not announced is cut off', async () => {
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(0x20)),
    })
    const init: RequestInit & { duplex: 'half' } = {
      method,
      headers: credentials(''),
      body: endless,
      duplex: 'half',
    }
    const answer = await fetch(push.world.url + path, init)
    expect(answer.status).toBe(413)
    expect(await kept()).toEqual(before)
  })
})

const client = { client_id: proven.did, type: 'fcm', token: 'other' }
const subscription = {
  endpoint: 'https://push.example/x',
  keys: { p256dh: 'BA'.padEnd(87, 'x'), auth: 'x'.repeat(22) },
}
const fcm = { target: { fcm: { token: 'other' } } }
const message = { topic: TOPIC, tag: 4002, message: 'AAEC' }
/** Bodies of the right outer form: the route, the body, the field that is named. */
const WRONG: [path: string, body: object, field: string][] = [
  ['/clients', {}, 'client_id'],
  ['/clients', { ...client, client_id: 7 }, 'client_id'],
  ['/clients', { ...client, client_id: 'did:key:z6Mk' }, 'client_id'],
  ['/clients', { ...client, client_id: `did:key:${'z'.repeat(10_000)}` }, 'client_id'],
  ['/clients', { ...client, type: 'sms' }, 'type'],
  ['/clients', { ...client, token: '' }, 'token'],
  ['/clients', { ...client, token: 'a b' }, 'token'],
  ['/clients', { ...client, token: 'x'.repeat(1_025) }, 'token'],
  ['/clients', { ...client, type: 'apns', token: '../../admin' }, 'token'],
  ['/clients', { ...client, always_raw: 'yes' }, 'always_raw'],
  [`/${PROJECT}/clients/${unproven.did}`, { ...message, topic: 'x' }, 'topic'],
  [`/${PROJECT}/clients/${unproven.did}`, { ...message, topic: undefined }, 'topic'],
  [`/${PROJECT}/clients/${unproven.did}`, { ...message, message: undefined }, 'message'],
  [`/${PROJECT}/clients/${unproven.did}`, { ...message, message: 7 }, 'message'],
  [`/${PROJECT}/clients/${unproven.did}`, { ...message, tag: -1 }, 'tag'],
  [`/${PROJECT}/clients/${unproven.did}`, { ...message, tag: 1.5 }, 'tag'],
  [`/${PROJECT}/clients/${unproven.did}`, { id: 'x', payload: { flags: 1 } }, 'payload.blob'],
  [`/push/v1/${PROJECT}/devices`, {}, 'target'],
  [`/push/v1/${PROJECT}/devices`, { target: { sms: { token: 'x' } } }, 'target'],
  [`/push/v1/${PROJECT}/devices`, { target: { ...fcm.target, apns: { token: 'x' } } }, 'target'],
  [`/push/v1/${PROJECT}/devices`, { target: { webpush: subscription } }, 'target.keys'],
  [`/push/v1/${PROJECT}/devices`, { ...fcm, hidden: true }, 'sealKey'],
  [`/push/v1/${PROJECT}/devices`, { ...fcm, sealKey: 'xyz' }, 'sealKey'],
  [`/push/v1/${PROJECT}/devices`, { ...fcm, hidden: true, sealKey: '00'.repeat(32) }, 'sealKey'],
  [`/push/v1/${PROJECT}/devices`, { ...fcm, tags: Array(65).fill(4002) }, 'tags'],
  [`/push/v1/${PROJECT}/devices`, { ...fcm, tags: ['4002'] }, 'tags[0]'],
  [
    `/push/v1/${PROJECT}/devices`,
    { ...fcm, quiet: { from: '24:00', to: '07:00', timeZone: 'UTC' } },
    'quiet.from',
  ],
  [
    `/push/v1/${PROJECT}/devices`,
    { ...fcm, quiet: { from: '22:00', to: '07:00', timeZone: 'Mars/Sea' } },
    'quiet.timeZone',
  ],
]

describe('a body with a wrong field', () => {
  it.each(WRONG)('POST %s %j names %s', async (path, body, field) => {
    const text = JSON.stringify(body)
    const [, , , credentials] = BODIES.find(([, one]) => one === path) ?? []
    if (!credentials) throw new Error('not among the routes')
    const answer = await send('POST', path, text, credentials(text))
    await expectFailure(path, answer, 422, 'bad_params')
    const named = shapeOf(path) === 'published' ? { fields: [{ field }] } : { field }
    expect(answer.body).toMatchObject(named)
  })

  it.each(['http://127.0.0.1/x', 'http://169.254.169.254/latest', 'https://[::1]/x', 'file:///etc/passwd'])(
    'a subscription of a push service at %s is refused where private addresses are not allowed',
    async (endpoint) => {
      await using closed = await startPushWorld({
        rooms: ['push'],
        config: { allowPrivateAddresses: { keys: [], webhooks: [], did: [], push: [] } },
      })
      const { keys } = closed.web.subscribe()
      const wallet = closed.wallet()
      const answer = await closed.device('default', wallet, { target: { webpush: { endpoint, keys } } })
      expect(answer).toMatchObject({ status: 422, body: { code: 'bad_params' } })
      expect(await closed.world.stores.push.devices([wallet.did], Date.now())).toEqual([])
    },
  )
})

describe('who may not ask', () => {
  const ofDevices = `/push/v1/${PROJECT}/devices`
  const body = JSON.stringify(fcm)

  it('a device with a token that is missing or of something else answers 401, whatever the body is', async () => {
    for (const act of [undefined, 'push_unregister', 'irn_watchRegister'])
      for (const text of [body, '{'])
        expect(
          await send('POST', ofDevices, text, { ...typed, ...bearer(push.token(proven, act)) }),
        ).toMatchObject({
          status: 401,
        })
    await expectFailure(ofDevices, await send('POST', ofDevices, body, typed), 401, 'unauthenticated')
    const toEnd = await send('DELETE', ofDevices, undefined, bearer(push.token(proven, 'push_register')))
    expect(toEnd.status).toBe(401)
    expect(await kept()).toEqual(before)
  })

  it('a token that is forged answers 401 on every route that takes one', async () => {
    const claims = { act: 'push_register', aud: push.world.url }
    for (const [name, token] of forgedTokens(claims)) {
      const headers = { ...typed, ...bearer(token) }
      const published = JSON.stringify({ ...client, client_id: unproven.did })
      const answers = [
        await send('POST', ofDevices, body, headers),
        await send('POST', `/${PROJECT}/clients`, published, headers),
        await send('DELETE', `/${PROJECT}/clients/${unproven.did}`, undefined, headers),
      ]
      expect([name, ...answers.map(({ status }) => status)]).toEqual([name, 401, 401, 401])
    }
    expect(await kept()).toEqual(before)
  })

  it('a registration of somebody else, or in place of one with a token, answers 401', async () => {
    const path = `/${PROJECT}/clients`
    const other = { ...typed, ...bearer(push.token(generateSigningKey())) }
    const text = JSON.stringify(client)
    await expectFailure(path, await send('POST', path, text, other), 401, 'unauthenticated')
    const taking = JSON.stringify({ ...client, client_id: unproven.did, token: 'proven' })
    await expectFailure(path, await send('POST', path, taking, typed), 401, 'unauthenticated')
    const end = `${path}/${proven.did}`
    await expectFailure(end, await send('DELETE', end, undefined, {}), 401, 'unauthenticated')
  })

  it.each([
    ['no signature', (_: string): Headers => ({ ...typed })],
    ['a signature of another relay', (text) => signed(text, generateSigningKey())],
    ['a signature of another body', () => signed('{}')],
    ['a signature of long ago', (text) => signed(text, relay, Math.floor(Date.now() / 1000) - 3_600)],
    ['a signature that is no hex', (text) => ({ ...signed(text), 'X-Ed25519-Signature': 'x'.repeat(128) })],
    ['half a signature', (text) => ({ ...signed(text), 'X-Ed25519-Signature': 'ab'.repeat(32) })],
    ['no timestamp', (text) => ({ ...signed(text), 'X-Ed25519-Timestamp': '' })],
    ['a timestamp that is no number', (text) => ({ ...signed(text), 'X-Ed25519-Timestamp': 'now' })],
    [
      'another timestamp',
      (text) => ({ ...signed(text), 'X-Ed25519-Timestamp': `${Math.floor(Date.now() / 1000) + 1}` }),
    ],
  ] as [string, (text: string) => Headers][])('a relay with %s answers 401', async (_, headersOf) => {
    const path = `/${PROJECT}/clients/${unproven.did}`
    const text = JSON.stringify(message)
    await expectFailure(path, await send('POST', path, text, headersOf(text)), 401, 'unauthenticated')
  })

  it.each([
    ['POST', '/tenants', '{"id":"x"}'],
    ['GET', `/tenants/${PROJECT}`],
    ['DELETE', `/tenants/${PROJECT}`],
    ['POST', `/tenants/${PROJECT}/apns`, 'x'],
    ['POST', `/tenants/${PROJECT}/fcm`, 'x'],
    ['POST', `/tenants/${PROJECT}/fcm_v1`, 'x'],
    ['DELETE', `/tenants/${PROJECT}/apns`],
    ['DELETE', `/tenants/${PROJECT}/fcm`],
    ['DELETE', `/tenants/${PROJECT}/fcm_v1`],
    ['GET', '/admin/push'],
    ['POST', '/admin/push/test', '{}'],
    ['POST', '/admin/push/check'],
    ['PUT', `/admin/push/projects/${PROJECT}`, '{"open":false}'],
    ['PUT', `/admin/push/projects/${PROJECT}/credentials`, '{}'],
    ['DELETE', `/admin/push/projects/${PROJECT}/credentials/fcm`],
  ] as [string, string, string?][])(
    '%s %s without the admin token answers 401',
    async (method, path, text) => {
      for (const headers of [{}, bearer('x'), bearer(push.token(proven, 'push_register'))])
        await expectFailure(
          path,
          await send(method, path, text, { ...typed, ...headers }),
          401,
          'unauthenticated',
        )
    },
  )
})

describe('what there is not', () => {
  const registering = JSON.stringify({ ...client, client_id: generateSigningKey().did })
  it.each([
    ['POST', '/nobody/clients', () => typed, registering, 404],
    ['POST', `/${'x'.repeat(65)}/clients`, () => typed, registering, 404],
    ['POST', '/a%00b/clients', () => typed, registering, 404],
    ['POST', '/__proto__/clients', () => typed, registering, 404],
    ['DELETE', `/nobody/clients/${unproven.did}`, () => ({}), undefined, 404],
    ['DELETE', `/${PROJECT}/clients/${generateSigningKey().did}`, () => ({}), undefined, 404],
    ['DELETE', `/${PROJECT}/clients/nobody`, () => ({}), undefined, 422],
    ['DELETE', `/clients/${unproven.did}`, () => ({}), undefined, 404],
    ['POST', `/nobody/clients/${unproven.did}`, signed, JSON.stringify(message), 404],
    ['POST', `/${PROJECT}/clients/nobody`, signed, JSON.stringify(message), 422],
    [
      'POST',
      '/push/v1/nobody/devices',
      () => bearer(push.token(proven, 'push_register')),
      JSON.stringify(fcm),
      404,
    ],
    ['GET', '/tenants/nobody', asAdmin, undefined, 404],
    ['GET', '/tenants/%ff', asAdmin, undefined, 422],
    ['DELETE', '/tenants/nobody', asAdmin, undefined, 404],
    ['POST', '/tenants/nobody/fcm_v1', asAdmin, 'x', 404],
    ['DELETE', '/tenants/nobody/apns', asAdmin, undefined, 404],
    ['PUT', '/admin/push/projects/a%00b', asAdmin, '{}', 422],
    ['DELETE', '/admin/push/projects/nobody/credentials/fcm', asAdmin, undefined, 404],
    ['DELETE', `/admin/push/projects/${PROJECT}/credentials/sms`, asAdmin, undefined, 422],
  ] as [string, string, (text: string) => Headers, string | undefined, number][])(
    '%s %s answers its error',
    async (method, path, headersOf, text, status) => {
      const answer = await send(method, path, text, { ...typed, ...headersOf(text ?? '') })
      await expectFailure(path, answer, status, status === 404 ? 'not_found' : 'bad_params')
    },
  )

  it('a device of another project, or another client, is not ended', async () => {
    const token = bearer(push.token(proven, 'push_unregister'))
    for (const path of ['/push/v1/default/devices', `/push/v1/${PROJECT}/devices/nobody`])
      expect(await send('DELETE', path, undefined, token)).toEqual({ status: 200, body: { ended: 0 } })
    expect(await kept()).toEqual(before)
  })
})

describe('credentials', () => {
  const form = (fields: Record<string, string>) => {
    const body = new FormData()
    for (const [name, value] of Object.entries(fields)) body.set(name, value)
    return body
  }
  const post = async (path: string, body: BodyInit, headers: Headers = {}) => {
    const answer = await fetch(push.world.url + path, {
      method: 'POST',
      headers: { ...asAdmin(), ...headers },
      body,
    })
    return { status: answer.status, body: (await answer.json()) as unknown }
  }

  it.each([
    ['apns', {}, 'apns_type'],
    ['apns', { apns_type: 'token' }, 'apns_topic'],
    ['apns', { apns_type: 'pigeon', apns_topic: 'x' }, 'apns_type'],
    ['apns', { apns_type: 'certificate', apns_topic: 'x' }, 'apns_certificate'],
    ['fcm_v1', {}, 'credentials'],
    ['fcm_v1', { credentials: '{' }, 'credentials'],
  ] as [string, Record<string, string>, string][])(
    '%s of %j names what is wrong',
    async (kind, fields, field) => {
      const path = `/tenants/${PROJECT}/${kind}`
      const answer = await post(path, form(fields))
      await expectFailure(path, answer, 422, 'bad_params')
      expect(answer.body).toMatchObject({ fields: [{ field }] })
    },
  )

  it('that are no form, or too large, or none that the provider can have, are refused', async () => {
    const path = `/tenants/${PROJECT}/fcm_v1`
    await expectFailure(path, await post(path, 'hello', { 'content-type': 'text/plain' }), 400, 'bad_request')
    const boundary = { 'content-type': 'multipart/form-data; boundary=x' }
    await expectFailure(path, await post(path, '--x\r\nhalf', boundary), 400, 'bad_request')
    await expectFailure(path, await post(path, form({ credentials: 'x'.repeat(MIB) })), 413, 'too_large')
    await expectFailure(path, await post(path, form({ credentials: '{"a":1}' })), 422, 'bad_params')
    const declared = `/admin/push/projects/${PROJECT}/credentials`
    const sms = JSON.stringify({ provider: 'sms', sms: {} })
    await expectFailure(
      declared,
      await send('PUT', declared, sms, { ...typed, ...asAdmin() }),
      422,
      'bad_params',
    )
  })
})

it('after all that everybody is served', async () => {
  expect(await push.register(PROJECT, generateSigningKey(), 'fcm', 'next')).toBe(200)
  const text = JSON.stringify(message)
  const posted = await send('POST', `/${PROJECT}/clients/${unproven.did}`, text, signed(text))
  expect(posted).toEqual({ status: 202, body: { status: 'SUCCESS' } })
})
