/** What strangers leave behind is paid for by their address; over it they are told so, and nobody else is. */
import { beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/contacts/erc1056.ts'
import { DEFAULT_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import type { Config } from '../../src/server/config/config.ts'
import { createPerson } from '../support/person.ts'
import { sharedRedis } from '../support/redis.ts'
import { newSigner } from '../support/world/contacts.ts'
import { startWorld, type World } from '../support/world.ts'

const MIB = 1024 * 1024
const ENGINES: [name: string, config: () => Promise<Partial<Config>>][] = [
  ['LMDB', async () => ({})],
  ['Redis', async () => ({ redisUrl: (await sharedRedis()).url, secret: 'ab'.repeat(32) })],
]

/** Tests share a Redis, and with it what an address has left. */
let tests = 0
let [STRANGER, BYSTANDER] = ['', '']
beforeEach(() => {
  tests += 1
  STRANGER = `8.8.${process.pid % 250}.${tests}`
  BYSTANDER = `9.9.${process.pid % 250}.${tests}`
})

const start = async (config: Partial<Config>): Promise<World> =>
  startWorld({
    config: {
      ...{ rooms: ['keys', 'contacts', 'sessions'], budgets: { ...DEFAULT_BUDGETS, state: MIB } },
      ...config,
    },
  })

const post = (world: World, address: string, path: string, body: unknown) =>
  world.http('POST', path, { body, headers: { 'x-forwarded-for': address } })

const register = (world: World, address: string) => {
  const person = createPerson()
  return post(world, address, '/identity', { cacao: person.cacao(person.newKey(), Date.now()) })
}

const grant = async (world: World, address: string) => {
  const signer = newSigner()
  const action = {
    act: 'set',
    name: 'xmtp/installation/hex',
    value: new Uint8Array(2_048),
    validity: 31_536_000,
  }
  const rpc = (method: string, params: unknown) =>
    post(world, address, '/rpc/v1', { jsonrpc: '2.0', id: 1, method, params })
  const registry = (await rpc('nonce', { did: signer.address })).body
  const told = JSON.parse(JSON.stringify(registry)).result
  const signature = signer.sign(
    digestOf(
      { ...action, act: 'set' },
      { registry: told.registry, nonce: told.nonce, identity: signer.address },
    ),
  )
  const { name, validity } = action
  const params = { did: signer.address, name, value: '00'.repeat(2_048), validity, signature }
  return (await rpc('grantInstallation', params)).body
}

/** Asks until it is refused. */
const untilRefused = async <T>(ask: () => Promise<T>, isRefused: (answer: T) => boolean, most: number) => {
  for (let count = 0; count < most; count++) {
    const answer = await ask()
    if (isRefused(answer)) return { count, answer }
  }
  throw new Error(`${most} were taken`)
}

describe.each(ENGINES)('on %s', (_, config) => {
  it('identities of one address fill its share, and another address registers', async () => {
    await using world = await start(await config())
    const { count, answer } = await untilRefused(
      () => register(world, STRANGER),
      ({ status }) => status !== 200,
      200,
    )
    expect(count).toBeGreaterThan(10)
    expect(answer).toMatchObject({
      status: 429,
      body: { status: 'FAILURE', error: { name: 'rate_limited' } },
    })
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(answer.headers.get('access-control-expose-headers')).toContain('Retry-After')
    expect((await register(world, BYSTANDER)).status).toBe(200)
  })

  it('a wallet that registers the same identity at each start pays for it once', async () => {
    await using world = await start(await config())
    const person = createPerson()
    const cacao = person.cacao(person.newKey(), Date.now())
    for (let at = 0; at < 100; at++) {
      expect((await post(world, BYSTANDER, '/identity', { cacao })).status).toBe(200)
    }
  })

  it('installations of one address fill its share, and another address grants', async () => {
    await using world = await start(await config())
    const { count, answer } = await untilRefused(
      () => grant(world, STRANGER),
      (body) => 'error' in Object(body),
      200,
    )
    expect(count).toBeGreaterThan(10)
    expect(answer).toMatchObject({ error: { code: 429 } })
    expect(await grant(world, BYSTANDER)).toMatchObject({ result: { status: 'success' } })
  })
})

describe.each(ENGINES)('at the relay on %s', (_, config) => {
  /** A throw-away id, as all of them are. */
  const ask = async (world: World, address: string, name: 'Register' | 'Unregister', more: object = {}) => {
    const key = generateSigningKey()
    const iat = Math.floor(Date.now() / 1000)
    const claims = { iss: key.did, sub: 'ab'.repeat(32), aud: world.url, iat, exp: iat + 86_400 }
    const whu = 'https://hooks.example/a'
    const watch = { sub: 'https://service.example', typ: 'subscriber', whu, tag: [4000], sts: ['accepted'] }
    const token = signJwt(
      { ...claims, ...watch, exp: iat + 29 * 86_400, act: `irn_watch${name}`, ...more },
      key,
    )
    const { body } = await world.http('POST', '/rpc', {
      token: signJwt(claims, key),
      headers: { 'x-forwarded-for': address },
      body: {
        ...{ id: 1, jsonrpc: '2.0', method: `irn_watch${name}` },
        params: name === 'Register' ? { registerAuth: token } : { unregisterAuth: token },
      },
    })
    return body
  }

  it.each(['Register', 'Unregister'] as const)('watches are paid for: irn_watch%s', async (name) => {
    await using world = await startWorld({
      config: { rooms: ['relay'], budgets: { ...DEFAULT_BUDGETS, state: 20_000 }, ...(await config()) },
    })
    const { count, answer } = await untilRefused(
      () => ask(world, STRANGER, name),
      (body) => !('result' in Object(body)),
      100,
    )
    expect(count).toBeGreaterThan(5)
    expect(JSON.stringify(answer)).toContain('keeps too much')
    expect(await ask(world, BYSTANDER, name)).toHaveProperty('result')
  })
})

it('over its work an address is refused with a time to wait, in a way that web pages can read', async () => {
  await using world = await startWorld({
    config: {
      rooms: ['keys', 'contacts', 'sessions'],
      budgets: { ...DEFAULT_BUDGETS, work: { burst: 50, seconds: 3_600 } },
    },
  })
  const ask = (address: string) =>
    world.http('GET', '/identity?publicKey=z6Mk', {
      headers: { 'x-forwarded-for': address, origin: 'https://app.example' },
    })
  const { count, answer } = await untilRefused(
    () => ask(STRANGER),
    ({ status }) => status === 429,
    200,
  )
  // A request, and a question that may need a look-up.
  expect(count).toBe(10)
  expect(answer.body).toMatchObject({ code: 'rate_limited' })
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(10)
  expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  // A page could not read the refusal of a question that it may not ask.
  const preflight = await world.http('OPTIONS', '/identity', {
    headers: {
      'x-forwarded-for': '8.8.4.4',
      origin: 'https://app.example',
      'access-control-request-method': 'POST',
    },
  })
  expect(preflight.status).toBe(204)
  expect((await ask(BYSTANDER)).status).toBe(400)
  for (const path of ['/health', '/ready']) {
    expect((await world.http('GET', path, { headers: { 'x-forwarded-for': STRANGER } })).status).toBe(200)
  }
  const operator = await world.http('GET', '/admin/keys', {
    token: world.adminToken,
    headers: { 'x-forwarded-for': STRANGER },
  })
  expect(operator.status).toBe(200)
})

it('a batch is paid for by item and by signature, before they are looked at', async () => {
  await using world = await startWorld({
    config: {
      rooms: ['keys', 'contacts'],
      budgets: { ...DEFAULT_BUDGETS, work: { burst: 90, seconds: 3_600 } },
    },
  })
  const signature = { r: `0x${'11'.repeat(32)}`, s: `0x${'11'.repeat(32)}`, v: 27 }
  const params = { did: `0x${'ab'.repeat(20)}`, name: 'xmtp/installation/hex', value: '00', signature }
  const batch = Array.from({ length: 10 }, (_, id) => ({
    ...{ jsonrpc: '2.0', id, method: 'grantInstallation', params },
  }))
  const { body } = await post(world, STRANGER, '/rpc/v1', batch)
  const codes = JSON.parse(JSON.stringify(body)).map((one: { error: { code: number } }) => one.error.code)
  expect(codes).toEqual([403, 403, ...Array.from({ length: 8 }, () => 429)])
})
