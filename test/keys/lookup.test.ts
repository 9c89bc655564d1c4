import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { createServer, type Server } from 'node:https'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createIdentityLookup } from '../../src/keys/lookup.ts'
import { addressRules, isPublicAddress } from '../../src/platform/net/public-address.ts'
import { createPublicFetch, type PublicFetchOptions } from '../../src/platform/net/public-fetch.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { accountKey } from '../../src/protocol/caip.ts'
import { didPkh } from '../../src/protocol/did.ts'
import { manualClock } from '../support/clock.ts'
import { createPerson, idAuth } from '../support/person.ts'
import { startRegistry } from '../support/world/keys.ts'

const tls = (file: string) => readFileSync(new URL(`../support/tls/${file}`, import.meta.url), 'utf8')
const person = createPerson()
const PERSON = accountKey(person.account)

let server: Server
let asked: string[]
let answer: RequestListener
beforeEach(async () => {
  asked = []
  server = createServer({ key: tls('key.pem'), cert: tls('cert.pem') }, (request, response) => {
    asked.push(`${request.headers.host?.replace(/:.*/, '')}${request.url}`)
    answer(request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
})
afterEach(() => new Promise((done) => server.close(done)))

const port = () => {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}
const origin = (host = 'keys.example') => `https://${host}:${port()}`

/** Names that lead to the test's server, as if it stood in the public internet. */
const outside: PublicFetchOptions = {
  ca: tls('cert.pem'),
  rules: addressRules([], (address) => address === '127.0.0.1'),
  refusal: 'key_server_refused',
  resolve: async (host) => [{ address: host.endsWith('.inside') ? '127.0.0.2' : '127.0.0.1', family: 4 }],
}
const lookupWith = (
  how: PublicFetchOptions = outside,
  more: { registry?: { identity(k: string, account?: string): Promise<string> } } = {},
) => {
  const clock = manualClock()
  const lookup = createIdentityLookup(
    { fetch: createPublicFetch(how), clock, log: silent, ...more },
    {
      isOwnUrl: (url) => url.startsWith('http://localhost'),
      allowed: [origin(), origin('other.example'), 'https://10.0.0.1'],
    },
  )
  return { lookup, clock }
}
const json =
  (value: unknown, status = 200): RequestListener =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }

describe('another key server', () => {
  it('is asked once in five minutes', async () => {
    const { lookup, clock } = lookupWith()
    const key = person.newKey()
    const cacao = person.cacao(key, clock.now())
    answer = json({ status: 'SUCCESS', error: null, value: { cacao } })
    const found = await Promise.all([
      lookup(origin(), key.did, PERSON),
      lookup(`${origin()}/some/path`, key.did, PERSON),
    ])
    expect(found.map(({ read }) => read())).toEqual([cacao, cacao])
    expect(asked).toEqual([`keys.example/identity?publicKey=${key.did.slice(8)}`])
    await clock.advance(299_999)
    await lookup(origin(), key.did, PERSON)
    expect(asked).toHaveLength(1)
    await clock.advance(1)
    await lookup(origin(), key.did, PERSON)
    expect(asked).toHaveLength(2)
  })

  it('that has removed a key ends it here within five minutes', async () => {
    const { lookup, clock } = lookupWith()
    const key = person.newKey()
    answer = json({ value: { cacao: person.cacao(key, clock.now()) } })
    await lookup(origin(), key.did, PERSON)
    answer = json({ status: 'FAILURE' }, 404)
    // Asking again and again keeps nothing alive.
    for (let minute = 0; minute < 4; minute++) {
      await clock.advance(60_000)
      await lookup(origin(), key.did, PERSON)
    }
    await clock.advance(60_000)
    await expect(lookup(origin(), key.did, PERSON)).rejects.toMatchObject({ code: 'identity_unknown' })
  })

  it('that names another account is asked again by the owner of the key, who is not kept out', async () => {
    const { lookup, clock } = lookupWith()
    const key = person.newKey()
    const stranger = createPerson()
    const claimed = stranger.cacao(key, clock.now())
    answer = json({ value: { cacao: claimed } })
    expect((await lookup(origin(), key.did, PERSON)).read()).toEqual(claimed)
    const cacao = person.cacao(key, clock.now())
    answer = json({ value: { cacao } })
    expect((await lookup(origin(), key.did, PERSON)).read()).toEqual(cacao)
    expect(asked).toHaveLength(2)
  })

  it('that cannot be asked any more does not keep a key alive', async () => {
    const { lookup, clock } = lookupWith()
    const key = person.newKey()
    answer = json({ value: { cacao: person.cacao(key, clock.now()) } })
    await lookup(origin(), key.did, PERSON)
    answer = (_, response) => void response.destroy()
    await clock.advance(300_000)
    await expect(lookup(origin(), key.did, PERSON)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('says that it does not know the key, which is not remembered', async () => {
    const { lookup } = lookupWith()
    answer = json({ status: 'FAILURE' }, 404)
    const key = person.newKey()
    await expect(lookup(origin(), key.did, PERSON)).rejects.toMatchObject({ code: 'identity_unknown' })
    await expect(lookup(origin(), key.did, PERSON)).rejects.toMatchObject({ code: 'identity_unknown' })
    expect(asked).toHaveLength(2)
  })

  it.each<[string, RequestListener]>([
    ['fails', json({}, 500)],
    ['answers something else', json({ value: { cacao: 7 } })],
    ['answers no JSON', (_, response) => void response.end('<html>')],
    ['answers more than 64 KiB', (_, response) => void response.end(Buffer.alloc(70_000, 32))],
    ['hangs up', (_, response) => void response.destroy()],
    ['redirects for ever', (_, response) => void response.writeHead(302, { location: '/again' }).end()],
  ])('may be one that %s', async (_, how) => {
    const { lookup } = lookupWith()
    answer = how
    await expect(lookup(origin(), person.newKey().did, PERSON)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('is not waited for without end', async () => {
    answer = () => {}
    const fetch = createPublicFetch(outside)
    await expect(fetch(origin(), { milliseconds: 50, bytes: 10 })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('in time'),
    })
    server.closeAllConnections()
  })

  it('may redirect within the public internet', async () => {
    const { lookup, clock } = lookupWith()
    const key = person.newKey()
    const cacao = person.cacao(key, clock.now())
    answer = (request, response) => {
      if (request.headers.host?.startsWith('other')) return json({ value: { cacao } })(request, response)
      response.writeHead(307, { location: `${origin('other.example')}${request.url}` }).end()
    }
    expect((await lookup(origin(), key.did, PERSON)).read()).toEqual(cacao)
    expect(asked.map((line) => line.split('/')[0])).toEqual(['keys.example', 'other.example'])
  })

  it.each([
    ['a name that leads inside', () => 'https://keys.inside/'],
    ['an address inside', () => 'https://10.0.0.1/'],
    ['an IPv6 address inside', () => 'https://[::1]/'],
    ['plain http', () => `http://keys.example:${port()}/`],
  ])('may not redirect to %s', async (_, location) => {
    const { lookup } = lookupWith()
    answer = (_request, response) => void response.writeHead(302, { location: location() }).end()
    await expect(lookup(origin(), person.newKey().did, PERSON)).rejects.toMatchObject({
      code: 'key_server_refused',
    })
    expect(asked).toHaveLength(1)
  })

  it('may not have one address inside among others', async () => {
    const mixed = async () => [
      { address: '127.0.0.1', family: 4 },
      { address: '192.168.1.1', family: 4 },
    ]
    const { lookup } = lookupWith({ ...outside, resolve: mixed })
    await expect(lookup(origin(), person.newKey().did, PERSON)).rejects.toMatchObject({
      code: 'key_server_refused',
    })
    expect(asked).toEqual([])
  })

  it('with a literal address inside is refused although it is listed', async () => {
    const { lookup } = lookupWith({ refusal: 'key_server_refused' })
    await expect(lookup('https://10.0.0.1', person.newKey().did, PERSON)).rejects.toMatchObject({
      code: 'key_server_refused',
    })
  })

  it.each([
    'https://evil.example',
    'http://keys.example',
    'ftp://keys.example',
    'keys.example',
    '',
    'https://keys.example.evil.example',
  ])('that is not listed is not asked: %s', async (url) => {
    const { lookup } = lookupWith()
    await expect(lookup(url, person.newKey().did, PERSON)).rejects.toMatchObject({
      code: 'key_server_refused',
    })
    expect(asked).toEqual([])
  })
})

describe('our own registry', () => {
  it('is asked first, whatever allowed server the wallet named, and forgets at once', async () => {
    await using world = await startRegistry()
    const { lookup } = lookupWith(outside, { registry: world.registry })
    const key = person.newKey()
    const cacao = person.cacao(key, world.clock.now())
    await world.registry.register(cacao)
    expect((await lookup('http://localhost:8080', key.did, PERSON)).read()).toEqual(cacao)
    expect((await lookup(origin(), key.did, PERSON)).read()).toEqual(cacao)
    expect(asked).toEqual([])
    const pkh = didPkh(person.account)
    await world.registry.unregister(idAuth(key, world.clock.now(), { act: 'unregister_identity', pkh }))
    await expect(lookup('http://localhost:8080', key.did, PERSON)).rejects.toMatchObject({
      code: 'identity_unknown',
    })
  })

  it('is not asked about what is no identity key', async () => {
    const { lookup } = lookupWith()
    await expect(lookup('http://localhost:8080', 'did:key:z6LSnope', PERSON)).rejects.toMatchObject({
      code: 'bad_params',
    })
  })
})

describe('addresses', () => {
  it.each(['1.1.1.1', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1'])(
    '%s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )
  it.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    'fe80::1',
    'fc00::1',
    'fd12::1',
    'ff02::1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    '2001::1',
    'example.com',
    '',
  ])('%s is not', (address) => expect(isPublicAddress(address)).toBe(false))
})
