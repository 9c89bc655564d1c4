/** Domains: who speaks for one is in its did document, which is asked for over https, at public addresses only. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { CONTACTS_RATES } from '../../src/contacts/limits.ts'
import { createContacts } from '../../src/contacts/service.ts'
import { createRateLimits, type RateRules } from '../../src/platform/budgets/rate-limits.ts'
import { createBuckets } from '../../src/platform/budgets/token-buckets.ts'
import { addressRules } from '../../src/platform/net/public-address.ts'
import { createPublicFetch } from '../../src/platform/net/public-fetch.ts'
import { fromHex, toBase64url } from '../../src/protocol/bytes.ts'
import { ed25519FromDid } from '../../src/protocol/did.ts'
import { ProtocolError } from '../../src/protocol/errors.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { NO_RATE_LIMITS, type RateLimitName } from '../../src/server/config/settings/rate-limits.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { capturedLog } from '../support/capture/log.ts'
import { manualClock } from '../support/clock.ts'
import { HEX } from '../support/world/contacts.ts'

const tls = (file: string) => readFileSync(new URL(`../support/tls/${file}`, import.meta.url), 'utf8')
/** The host that the test's certificate is for, as the did names it. */
const HOST = 'keys.example'
const OURS = 'did:web:belfry.example'

let server: Server
let document: unknown
let status: number
let asked: string[]
const parts: AsyncDisposable[] = []
beforeEach(async () => {
  asked = []
  status = 200
  server = createServer({ key: tls('key.pem'), cert: tls('cert.pem') }, (request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.writeHead(status, { location: 'http://127.0.0.1/' }).end(JSON.stringify(document))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
})
afterEach(async () => {
  for (const part of parts.splice(0)) await part[Symbol.asyncDispose]()
  await new Promise((done) => server.close(done))
})

const domain = () => {
  const address = server.address()
  return `${HOST}%3A${typeof address === 'object' && address ? address.port : 0}`
}

/** The rules on a store of their own; `HOST` leads to the test's server, as if it stood in the public internet. */
const start = async (limits: RateRules<RateLimitName> = NO_RATE_LIMITS, isInside = false) => {
  const path = await mkdtemp(join(tmpdir(), 'belfry-contacts-'))
  const stores = await openLmdb({ path })
  parts.push({
    async [Symbol.asyncDispose]() {
      await stores[Symbol.asyncDispose]()
      await rm(path, { recursive: true })
    },
  })
  const clock = manualClock()
  const taking = createRateLimits(createBuckets(clock), CONTACTS_RATES, limits)
  const rules = isInside ? addressRules() : addressRules([], (address) => address === '127.0.0.1')
  const contacts = createContacts(
    {
      store: stores.contacts,
      identity: async () => {
        throw new ProtocolError('identity_unknown')
      },
      fetch: createPublicFetch({
        ...{ ca: tls('cert.pem'), rules },
        resolve: async () => [{ address: '127.0.0.1', family: 4 }],
      }),
      limit: (name, key) => taking.take(name, key),
      clock,
      log: capturedLog,
    },
    { did: OURS, isOwnDid: (did) => did === OURS },
  )
  const did = `did:web:${domain()}`
  const grant = (key: SigningKey, value: string, of = did) => {
    const iat = clock.now() / 1000
    const claims = { sub: of, aud: OURS, act: 'grant_installation', name: HEX, value, iat, exp: iat + 60 }
    const jwt = signJwt({ iss: key.did, ...claims, jti: value }, key)
    return contacts.grant(of, { kind: 'jwt', jwt })
  }
  const valuesOf = async (of = did) => (await contacts.installations(of)).map(({ value }) => value)
  return { contacts, clock, did, grant, valuesOf }
}

const jwkOf = (key: SigningKey) => ({
  ...{ kty: 'OKP', crv: 'Ed25519', x: toBase64url(ed25519FromDid(key.did)) },
})
const multibaseOf = (key: SigningKey) => key.did.slice('did:key:'.length)
const forbidden = expect.objectContaining({ code: 'forbidden' })
const unavailable = expect.objectContaining({ code: 'unavailable' })

it('lets the keys speak that the document lists for authentication, however it writes them', async () => {
  const { did, grant, valuesOf } = await start()
  const [jwk, multikey, embedded, other, agreement] = Array.from({ length: 5 }, generateSigningKey)
  if (!(jwk && multikey && embedded && other && agreement)) throw new Error('too few')
  const controller = did
  document = {
    '@context': ['https://www.w3.org/ns/did/v1'],
    id: did,
    verificationMethod: [
      { id: `${did}#jwk`, type: 'JsonWebKey2020', controller, publicKeyJwk: jwkOf(jwk) },
      { id: '#multi', type: 'Multikey', controller, publicKeyMultibase: multibaseOf(multikey) },
      { id: `${did}#other`, type: 'JsonWebKey2020', controller, publicKeyJwk: jwkOf(other) },
      {
        id: `${did}#rsa`,
        type: 'JsonWebKey2020',
        controller,
        publicKeyJwk: { kty: 'RSA', n: 'AQAB', e: 'AQAB' },
      },
    ],
    authentication: [
      ...[`${did}#jwk`, '#multi', `${did}#rsa`, `${did}#none`],
      { id: `${did}#in`, type: 'Multikey', controller, publicKeyMultibase: multibaseOf(embedded) },
    ],
    assertionMethod: [`${did}#other`],
    keyAgreement: [{ id: '#x', publicKeyMultibase: multibaseOf(agreement) }],
  }
  for (const [at, key] of [jwk, multikey, embedded].entries()) await grant(key, `0${at}`)
  expect(await valuesOf()).toEqual(['00', '01', '02'].map(fromHex))
  for (const key of [other, agreement, generateSigningKey()]) {
    await expect(grant(key, 'ff')).rejects.toThrow(forbidden)
  }
  expect(await valuesOf(did.replace('keys', 'KEYS'))).toHaveLength(3)
})

it('asks for the document once a minute, after the signature was looked at', async () => {
  const { did, grant, clock } = await start()
  const key = generateSigningKey()
  const listing = (...keys: SigningKey[]) => ({
    id: did,
    authentication: keys.map((one) => ({ id: '#k', publicKeyJwk: jwkOf(one) })),
  })
  document = listing(key)
  const forged = { ...key, seed: generateSigningKey().seed }
  await expect(grant(forged, '00')).rejects.toThrow(forbidden)
  expect(asked).toEqual([])
  await Promise.all([grant(key, '01'), grant(key, '02')])
  document = listing()
  await clock.advance(59_999)
  await grant(key, '03')
  expect(asked).toEqual(['GET /.well-known/did.json'])
  await clock.advance(1)
  await expect(grant(key, '04')).rejects.toThrow(forbidden)
  expect(asked).toHaveLength(2)
})

it('takes no document of somebody else, none that is broken, and no redirect into the house', async () => {
  const { did, grant } = await start()
  const key = generateSigningKey()
  const authentication = [{ id: '#k', publicKeyJwk: jwkOf(key) }]
  const good = { id: did, authentication }
  for (const wrong of [
    ...[undefined, null, 5, [], {}, { authentication }, { ...good, id: 'did:web:other.example' }],
    ...[
      { ...good, authentication: {} },
      { ...good, authentication: Array(101).fill('#k') },
    ],
  ]) {
    document = wrong
    await expect(grant(key, '00')).rejects.toThrow(unavailable)
  }
  document = good
  for (status of [404, 500, 302]) {
    await expect(grant(key, '00')).rejects.toThrow()
  }
  status = 200
  await grant(key, '00')
})

it('never asks inside the house', async () => {
  const { did, grant } = await start(NO_RATE_LIMITS, true)
  document = { id: did, authentication: [] }
  for (const of of [did, 'did:web:127.0.0.1', 'did:web:localhost', 'did:web:169.254.169.254']) {
    await expect(grant(generateSigningKey(), '00', of)).rejects.toThrow(forbidden)
  }
  expect(asked).toEqual([])
})

it('asks a domain no faster than the limits say', async () => {
  const { grant } = await start({ ...NO_RATE_LIMITS, didDocuments: '2, 1/min' })
  status = 404
  for (const value of ['00', '01']) {
    await expect(grant(generateSigningKey(), value)).rejects.toThrow(unavailable)
  }
  const limited = expect.objectContaining({ code: 'rate_limited', retryAfter: 60 })
  await expect(grant(generateSigningKey(), '02')).rejects.toThrow(limited)
  expect(asked).toHaveLength(2)
})
