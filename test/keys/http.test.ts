import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keysRoutes } from '../../src/keys/http.ts'
import type { KeyRegistry, KeyRegistryOptions } from '../../src/keys/service.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { didPkh, x25519Did } from '../../src/protocol/did.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateAgreementKey } from '../../src/protocol/keys.ts'
import { encodeRecap } from '../../src/protocol/recap.ts'
import { createPerson, idAuth } from '../support/person.ts'
import { startRegistry } from '../support/world/keys.ts'
import vectors from '../vectors/core.json' with { type: 'json' }

const SUCCESS = { status: 'SUCCESS', error: null, value: null }
const failure = (name: string, message: unknown = expect.any(String)) => ({
  status: 'FAILURE',
  error: { name, message },
  value: null,
})

let world: Awaited<ReturnType<typeof startRegistry>>
const start = async (options?: KeyRegistryOptions) => {
  await world?.[Symbol.asyncDispose]()
  world = await startRegistry(options)
}
beforeEach(async () => {
  world = await startRegistry()
})
afterEach(() => world[Symbol.asyncDispose]())

const DAY = 86_400_000
const person = createPerson()
const z6 = (did: string) => did.slice('did:key:'.length)
const read = (did: string) => world.ask('GET', `/identity?publicKey=${z6(did)}`)

/** A registered identity key. */
const registered = async (who = person) => {
  const key = who.newKey()
  const cacao = who.cacao(key, world.clock.now())
  expect((await world.ask('POST', '/identity', { cacao })).status).toBe(200)
  return { key, cacao }
}

describe('POST /identity', () => {
  it('registers a key, and GET answers the CACAO as it came, unknown members included', async () => {
    const key = person.newKey()
    const cacao = { ...person.cacao(key, world.clock.now()), extra: { kept: [1] } }
    expect(await world.ask('POST', '/identity', { cacao })).toMatchObject({ status: 200, body: SUCCESS })
    const { status, body, headers } = await read(key.did)
    expect({ status, body }).toEqual({
      status: 200,
      body: { status: 'SUCCESS', error: null, value: { cacao } },
    })
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('cache-control')).toBe('no-store')
  })

  it('is idempotent', async () => {
    const { cacao } = await registered()
    expect(await world.ask('POST', '/identity', { cacao })).toMatchObject({ status: 200, body: SUCCESS })
  })

  it('takes what a published client signed', async () => {
    const { payload, signature } = vectors.eip4361
    await using then = await startRegistry({}, Date.parse(payload.iat))
    const cacao = { h: { t: 'eip4361' }, p: payload, s: { t: 'eip191', s: signature } }
    expect((await then.ask('POST', '/identity', { cacao })).status).toBe(200)
    const bare = { ...cacao, s: { t: 'eip191', s: signature.slice(2) } }
    expect((await then.ask('POST', '/identity', { cacao: bare })).status).toBe(200)
  })

  it('refuses what was signed more than a year ago, or on a day that has not come, or on none', async () => {
    const signed = (iat: string) => person.cacao(person.newKey(), world.clock.now(), { iat })
    const now = world.clock.now()
    for (const iat of [
      new Date(now - 366 * DAY).toISOString(),
      new Date(now + 2 * DAY).toISOString(),
      'soon',
    ]) {
      expect(await world.ask('POST', '/identity', { cacao: signed(iat) })).toMatchObject({
        status: 400,
        body: { error: { name: 'identity_invalid' } },
      })
    }
    const cacao = signed(new Date(now - 364 * DAY).toISOString())
    expect((await world.ask('POST', '/identity', { cacao })).status).toBe(200)
  })

  it('forgets a key a year after it was last asked about, and not one that is in use', async () => {
    const [used, unused] = [await registered(), await registered()]
    await world.clock.advance(200 * DAY)
    expect((await read(used.key.did)).status).toBe(200)
    await world.clock.advance(200 * DAY)
    expect(await world.store.sweep(world.clock.now(), 100)).toBeGreaterThan(0)
    expect((await read(used.key.did)).status).toBe(200)
    expect((await read(unused.key.did)).status).toBe(404)
    // What was revoked is remembered until its CACAO is too old to come back.
    await world.ask('DELETE', '/identity', {
      idAuth: idAuth(used.key, world.clock.now(), {
        act: 'unregister_identity',
        pkh: didPkh(person.account),
      }),
    })
    await world.clock.advance(364 * DAY)
    await world.store.sweep(world.clock.now(), 100)
    expect((await world.store.identity(used.key.did))?.revokedAt).toBeDefined()
    await world.clock.advance(10 * DAY)
    await world.store.sweep(world.clock.now(), 100)
    expect(await world.store.identity(used.key.did)).toBeUndefined()
  })

  it('takes header caip122', async () => {
    const cacao = { ...person.cacao(person.newKey(), world.clock.now()), h: { t: 'caip122' } }
    expect((await world.ask('POST', '/identity', { cacao })).status).toBe(200)
  })

  it.each([0, 1])('takes an empty domain and statement, rendering %i', async (rendering) => {
    const key = person.newKey()
    const cacao = person.cacao(key, world.clock.now(), { domain: '', statement: '', rendering })
    expect(await world.ask('POST', '/identity', { cacao })).toMatchObject({ status: 200, body: SUCCESS })
  })

  it('finds the identity key in the query of aud', async () => {
    const key = person.newKey()
    const aud = `https://app.example.com/login?walletconnect_identity_key=${key.did}`
    const cacao = person.cacao(key, world.clock.now(), { aud })
    expect((await world.ask('POST', '/identity', { cacao })).status).toBe(200)
    expect((await read(key.did)).status).toBe(200)
  })

  const now = Date.UTC(2026, 0, 1)
  const good = () => person.cacao(person.newKey(), now)
  it.each<[string, () => unknown, string]>([
    ['a signature over something else', () => ({ ...good(), s: good().s }), 'identity_invalid'],
    [
      'the signature of somebody else',
      () => {
        const { h, p } = good()
        return { h, p: { ...p, iss: didPkh(createPerson().account) }, s: good().s }
      },
      'identity_invalid',
    ],
    ['a signature that is no hex', () => ({ ...good(), s: { t: 'eip191', s: '0xzz' } }), 'identity_invalid'],
    ['an unknown kind of signature', () => ({ ...good(), s: { t: 'rot13', s: '00' } }), 'identity_invalid'],
    [
      'a contract wallet without anybody to ask',
      () => ({ ...good(), s: { t: 'eip1271', s: '0x00' } }),
      'identity_invalid',
    ],
    ['an unknown header', () => ({ ...good(), h: { t: 'eip1' } }), 'bad_params'],
    ['a payload without aud', () => ({ ...good(), p: { ...good().p, aud: undefined } }), 'bad_params'],
    ['a line break in a field', () => ({ ...good(), p: { ...good().p, nonce: 'a\nb' } }), 'bad_params'],
    [
      'an expired one',
      () => person.cacao(person.newKey(), now, { exp: new Date(now - 61_000).toISOString() }),
      'identity_invalid',
    ],
    [
      'one that is not valid yet',
      () => person.cacao(person.newKey(), now, { nbf: new Date(now + 61_000).toISOString() }),
      'identity_invalid',
    ],
    [
      'no identity key',
      () => person.cacao(person.newKey(), now, { aud: 'https://app.example.com' }),
      'identity_invalid',
    ],
    [
      'another chain family',
      () => {
        const cacao = person.cacao(person.newKey(), now)
        return { ...cacao, p: { ...cacao.p, iss: 'did:pkh:cosmos:cosmoshub-3:cosmos1t2uflqwqe0fsj0' } }
      },
      'identity_invalid',
    ],
    [
      'what is no account of its chain',
      () => {
        const cacao = person.cacao(person.newKey(), now)
        return { ...cacao, p: { ...cacao.p, iss: 'did:pkh:solana:mainnet:abc' } }
      },
      'identity_invalid',
    ],
  ])('refuses %s with 400', async (_, cacao, name) => {
    expect(await world.ask('POST', '/identity', { cacao: cacao() })).toMatchObject({
      status: 400,
      body: failure(name),
    })
  })

  it('keeps what each account says of one key: nobody is locked out by who claims it', async () => {
    const now = world.clock.now()
    const thief = createPerson()
    const key = person.newKey()
    const [claimed, own] = [thief.cacao(key, now), person.cacao(key, now)]
    const asFor = (account: string) =>
      world.ask('GET', `/identity?publicKey=${z6(key.did)}&account=${account}`)
    const cacaoIn = ({ body }: { body: { value: { cacao: unknown } } }) => body.value.cacao
    // The thief is faster, with a key that it has read somewhere.
    expect((await world.ask('POST', '/identity', { cacao: claimed })).status).toBe(200)
    expect((await world.ask('POST', '/identity', { cacao: own })).status).toBe(200)
    expect(cacaoIn(await read(key.did))).toEqual(claimed)
    expect(cacaoIn(await asFor(person.account))).toEqual(own)
    expect(cacaoIn(await asFor(thief.account))).toEqual(claimed)
    expect((await asFor(createPerson().account)).status).toBe(404)
    // Who has the key can say so; then it speaks for nobody else where nobody asks for whom.
    const proof = (signer: typeof key, account: string) =>
      idAuth(signer, now, { act: 'register_identity', pkh: didPkh(account) })
    const prove = (cacao: unknown, token: string) => world.ask('POST', '/identity', { cacao, idAuth: token })
    expect(await prove(claimed, proof(thief.newKey(), thief.account))).toMatchObject({
      status: 401,
      body: failure('jwt_invalid'),
    })
    expect(await prove(claimed, proof(key, person.account))).toMatchObject({
      status: 403,
      body: failure('account_mismatch'),
    })
    expect((await prove(own, proof(key, person.account))).status).toBe(200)
    expect((await world.ask('POST', '/identity', { cacao: claimed })).status).toBe(200)
    expect(cacaoIn(await read(key.did))).toEqual(own)
    // The owner takes back what the thief said of its key, and keeps its own.
    const revoke = idAuth(key, now, { act: 'unregister_identity', pkh: didPkh(thief.account) })
    expect((await world.ask('DELETE', '/identity', { idAuth: revoke })).status).toBe(200)
    expect((await asFor(thief.account)).status).toBe(404)
    expect((await world.ask('POST', '/identity', { cacao: claimed })).status).toBe(400)
    expect(cacaoIn(await read(key.did))).toEqual(own)
  })

  it('refuses what is larger than any CACAO, before it looks into it', async () => {
    const now = world.clock.now()
    const slashes = encodeRecap({ att: { ['/'.repeat(45_000)]: { 'manage/all-apps-notifications': [{}] } } })
    const table: [Parameters<typeof person.cacao>[2], number][] = [
      [{ statement: 'x'.repeat(2_048) }, 200],
      [{ statement: 'x'.repeat(2_049) }, 400],
      [{ resources: Array.from({ length: 32 }, (_, at) => `https://a.example/${at}`) }, 200],
      [{ resources: Array.from({ length: 33 }, (_, at) => `https://a.example/${at}`) }, 400],
      [{ resources: Array.from({ length: 5 }, () => `https://a.example/${'x'.repeat(2_000)}`) }, 400],
      [{ resources: [slashes] }, 413],
    ]
    for (const [payload, status] of table) {
      const cacao = person.cacao(person.newKey(), now, payload)
      expect((await world.ask('POST', '/identity', { cacao })).status).toBe(status)
    }
  })

  it.each<[string, string, number, string]>([
    ['not JSON', '{', 400, 'bad_json'],
    ['an array', '[]', 400, 'bad_params'],
    ['null', 'null', 400, 'bad_params'],
    ['no cacao', '{}', 400, 'bad_params'],
    ['a cacao of the wrong type', '{"cacao":7}', 400, 'bad_params'],
    ['deep nesting', `{"cacao":${'['.repeat(500)}${']'.repeat(500)}}`, 400, 'bad_request'],
    ['2 MiB', JSON.stringify({ cacao: 'x'.repeat(2 ** 21) }), 413, 'too_large'],
  ])('answers %s in its own words', async (_, body, status, name) => {
    expect(await world.ask('POST', '/identity', body)).toMatchObject({ status, body: failure(name) })
  })
})

describe('GET /identity', () => {
  it('answers 404 for a key that nobody registered', async () => {
    expect(await read(person.newKey().did)).toMatchObject({
      status: 404,
      body: failure('identity_unknown', 'Identity key not found'),
    })
  })

  it.each(['', '?publicKey=', '?publicKey=z6Mkx', '?publicKey=0x00', `?publicKey=${'z'.repeat(1000)}`])(
    'answers 400 for %s',
    async (query) => {
      expect(await world.ask('GET', `/identity${query}`)).toMatchObject({
        status: 400,
        body: failure('bad_params'),
      })
    },
  )
})

describe('DELETE /identity', () => {
  const claims = (account = person.account) => ({
    act: 'unregister_identity',
    sub: 'identity_keys',
    pkh: didPkh(account),
  })
  const unregister = (token: string) => world.ask('DELETE', '/identity', { idAuth: token })
  const inMs = { unit: 1000 } as const

  it('takes times in ms, answers exactly 200, and the key is gone', async () => {
    const { key } = await registered()
    const answer = await unregister(idAuth(key, world.clock.now(), claims(), inMs))
    expect(answer).toMatchObject({ status: 200, body: SUCCESS })
    expect(await read(key.did)).toMatchObject({ status: 404 })
  })

  it('takes times in seconds too, and any chain of the account', async () => {
    const { key } = await registered()
    const pkh = didPkh(person.account.toLowerCase().replace('eip155:1:', 'eip155:10:'))
    expect(await unregister(idAuth(key, world.clock.now(), { ...claims(), pkh }))).toMatchObject({
      status: 200,
    })
  })

  it('answers 200 again when the first answer got lost', async () => {
    const { key } = await registered()
    const token = idAuth(key, world.clock.now(), claims(), inMs)
    await unregister(token)
    expect(await unregister(token)).toMatchObject({ status: 200, body: SUCCESS })
  })

  it('takes the invite key along that the key had registered', async () => {
    const { key } = await registered()
    const sub = x25519Did(generateAgreementKey().publicKey)
    const invite = idAuth(key, world.clock.now(), {
      act: 'register_invite',
      sub,
      pkh: didPkh(person.account),
    })
    await world.ask('POST', '/invite', { idAuth: invite })
    await unregister(idAuth(key, world.clock.now(), claims(), inMs))
    expect(await world.ask('GET', `/invite?account=${person.account}`)).toMatchObject({ status: 404 })
  })

  it('is final: the CACAO that everybody could read does not bring the key back', async () => {
    const { key, cacao } = await registered()
    await unregister(idAuth(key, world.clock.now(), claims(), inMs))
    const answer = await world.ask('POST', '/identity', { cacao })
    expect(answer).toMatchObject({ status: 400, body: failure('identity_invalid') })
    const ahead = person.cacao(key, world.clock.now() + 3_600_000)
    expect((await world.ask('POST', '/identity', { cacao: ahead })).status).toBe(400)
    expect((await read(key.did)).status).toBe(404)
  })

  it('lets the owner register the key again by signing again', async () => {
    const { key } = await registered()
    await unregister(idAuth(key, world.clock.now(), claims(), inMs))
    await world.clock.advance(1000)
    const cacao = person.cacao(key, world.clock.now())
    expect((await world.ask('POST', '/identity', { cacao })).status).toBe(200)
    expect((await read(key.did)).status).toBe(200)
  })

  it('is done for a key that was never registered here, so that a client from elsewhere can begin anew', async () => {
    const { key, other } = { ...(await registered()), other: person.newKey() }
    expect(await unregister(idAuth(other, world.clock.now(), claims()))).toMatchObject({
      status: 200,
      body: SUCCESS,
    })
    expect((await read(other.did)).status).toBe(404)
    expect((await read(key.did)).status).toBe(200)
    const cacao = person.cacao(other, world.clock.now())
    expect((await world.ask('POST', '/identity', { cacao })).status).toBe(200)
  })

  it('refuses what is not its own doing', async () => {
    const { key } = await registered()
    const now = world.clock.now()
    const other = person.newKey()
    const forged = signJwt(
      { iss: key.did, iat: now / 1000, exp: now / 1000 + 60, ...claims(), aud: 'http://localhost:8080' },
      other,
    )
    const table: [string, number, string][] = [
      [forged, 401, 'jwt_invalid'],
      ['a.b.c', 401, 'jwt_invalid'],
      ['nonsense', 401, 'jwt_invalid'],
      [idAuth(key, now, { ...claims(), act: 'register_invite' }), 401, 'jwt_wrong_act'],
      [idAuth(key, now - 2 * 3_600_000, claims(), inMs), 401, 'jwt_expired'],
      [idAuth(key, now + 3_600_000, claims(), inMs), 401, 'jwt_expired'],
      [idAuth(key, now, claims(createPerson().account)), 403, 'account_mismatch'],
      [idAuth(key, now, { ...claims(), pkh: 'did:pkh:nonsense' }), 400, 'bad_params'],
      [idAuth(key, now, { ...claims(), pkh: 7 }), 400, 'bad_params'],
    ]
    for (const [token, status, name] of table) {
      expect(await unregister(token), name).toMatchObject({ status, body: failure(name) })
    }
    expect((await read(key.did)).status).toBe(200)
  })

  it('refuses a JWT for another key server once we know our own name', async () => {
    await start({ isOwnUrl: (url) => url === 'https://belfry.example.com' })
    const { key } = await registered()
    const token = (aud: unknown) => idAuth(key, world.clock.now(), { ...claims(), aud })
    for (const aud of ['https://keys.walletconnect.com', undefined, 7, ['https://belfry.example.com']]) {
      expect(await unregister(token(aud))).toMatchObject({ status: 401, body: failure('jwt_wrong_audience') })
    }
    expect(await unregister(token('https://belfry.example.com'))).toMatchObject({ status: 200 })
  })

  it.each([['{}'], ['{"idAuth":""}'], ['{"idAuth":7}'], [`{"idAuth":"${'x'.repeat(9000)}"}`]])(
    'answers 400 for %.40s',
    async (body) => {
      expect(await world.ask('DELETE', '/identity', body)).toMatchObject({
        status: 400,
        body: failure('bad_params'),
      })
    },
  )
})

describe('invite keys', () => {
  const newInvite = () => x25519Did(generateAgreementKey().publicKey)
  const claims = (act: string, sub: string) => ({ act, sub, pkh: didPkh(person.account) })
  const thousandDays = { life: 86_400_000 }
  const register = (token: string) => world.ask('POST', '/invite', { idAuth: token })
  const remove = (token: string) => world.ask('DELETE', '/invite', { idAuth: token })
  const get = (account = person.account) => world.ask('GET', `/invite?account=${account}`)

  it('registers, answers on every chain, replaces and removes', async () => {
    const { key } = await registered()
    const now = world.clock.now()
    const [first, second] = [newInvite(), newInvite()]
    expect(await register(idAuth(key, now, claims('register_invite', first), thousandDays))).toMatchObject({
      status: 200,
      body: SUCCESS,
    })
    expect(await get()).toMatchObject({
      status: 200,
      body: { status: 'SUCCESS', error: null, value: { inviteKey: first } },
    })
    const elsewhere = person.account.toLowerCase().replace('eip155:1:', 'eip155:137:')
    expect((await get(elsewhere)).body.value).toEqual({ inviteKey: first })

    await register(idAuth(key, now, claims('register_invite', second), thousandDays))
    expect((await get()).body.value).toEqual({ inviteKey: second })
    // What was made for the first one is not about the second.
    expect(await remove(idAuth(key, now, claims('unregister_invite', first)))).toMatchObject({ status: 404 })
    expect(await remove(idAuth(key, now, claims('unregister_invite', second)))).toMatchObject({
      status: 200,
      body: SUCCESS,
    })
    expect(await get()).toMatchObject({ status: 404, body: failure('not_found', 'Invite key not found') })
    expect(await remove(idAuth(key, now, claims('unregister_invite', second)))).toMatchObject({ status: 404 })
  })

  it('lets another identity key of the account take it away, and nobody else', async () => {
    const { key } = await registered()
    const now = world.clock.now()
    const invite = newInvite()
    await register(idAuth(key, now, claims('register_invite', invite)))
    const stranger = createPerson()
    const { key: theirs } = await registered(stranger)
    const unregister = claims('unregister_invite', invite)
    expect(await remove(idAuth(theirs, now, unregister))).toMatchObject({
      status: 403,
      body: failure('account_mismatch'),
    })
    const { key: second } = await registered()
    expect(await remove(idAuth(second, now, { ...unregister, sub: 'invite_keys' }))).toMatchObject({
      status: 200,
    })
  })

  it('refuses what is not allowed or makes no sense', async () => {
    const { key } = await registered()
    const now = world.clock.now()
    const invite = newInvite()
    const good = claims('register_invite', invite)
    const table: [string, number, string][] = [
      [idAuth(person.newKey(), now, good), 404, 'identity_unknown'],
      [idAuth(key, now, { ...good, act: 'unregister_invite' }), 401, 'jwt_wrong_act'],
      [idAuth(key, now - 86_400_000, good), 401, 'jwt_expired'],
      [idAuth(key, now, { ...good, pkh: didPkh(createPerson().account) }), 403, 'account_mismatch'],
      [idAuth(key, now, { ...good, sub: person.newKey().did }), 400, 'bad_params'],
      [idAuth(key, now, { ...good, sub: undefined }), 400, 'bad_params'],
    ]
    for (const [token, status, name] of table) {
      expect(await register(token), name).toMatchObject({ status, body: failure(name) })
    }
    expect(await get()).toMatchObject({ status: 404 })
  })

  it('refuses a revoked identity key', async () => {
    const { key } = await registered()
    const now = world.clock.now()
    await world.registry.unregister(
      idAuth(key, now, { act: 'unregister_identity', pkh: didPkh(person.account) }),
    )
    expect(await register(idAuth(key, now, claims('register_invite', newInvite())))).toMatchObject({
      status: 404,
      body: failure('identity_unknown', 'Identity key not found'),
    })
  })

  it.each(['', '?account=', '?account=nobody', '?account=eip155:1:0x12'])(
    'answers 400 for GET %s',
    async (query) => {
      expect(await world.ask('GET', `/invite${query}`)).toMatchObject({
        status: 400,
        body: failure('bad_params'),
      })
    },
  )
})

describe('web pages of any origin', () => {
  it.each(['/identity', '/invite'])('may ask %s, after a preflight', async (path) => {
    for (const method of ['POST', 'DELETE', 'GET']) {
      const response = await world.app.request(path, {
        method: 'OPTIONS',
        headers: {
          origin: 'https://wallet.example',
          'access-control-request-method': method,
          'access-control-request-headers': 'content-type',
        },
      })
      expect(response.status).toBe(204)
      expect(response.headers.get('access-control-allow-origin')).toBe('*')
      expect(response.headers.get('access-control-allow-methods')).toContain(method)
      expect(response.headers.get('access-control-allow-headers')).toBe('content-type')
    }
    const { headers } = await world.ask('GET', path)
    expect(headers.get('access-control-allow-origin')).toBe('*')
  })
})

it('tells nothing but an id about a defect of ours', async () => {
  const registry: KeyRegistry = {
    ...world.registry,
    identity: () => Promise.reject(new TypeError('an inner detail')),
  }
  const app = keysRoutes({ registry, log: silent, newId: () => 'an-id' })
  const response = await app.request(`/identity?publicKey=${z6(person.newKey().did)}`)
  expect(response.status).toBe(500)
  expect(await response.json()).toEqual(failure('internal', 'Internal server error (an-id)'))
})
