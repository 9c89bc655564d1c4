/** URLs that strangers give: a key server (`ksu`) and a webhook must not lead into our own network, nor take us up. */
import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { createServer as createPlainServer, type RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { Server } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createKeysClient } from '../../src/keys/client.ts'
import { createIdentityLookup } from '../../src/keys/lookup.ts'
import { addressRules, isAddressRule, isPublicAddress } from '../../src/platform/net/public-address.ts'
import { createPublicFetch, type PublicFetchOptions } from '../../src/platform/net/public-fetch.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { createWallet, fromNotifyServer, systemClock } from '../../src/sdk/wallet.ts'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startWorld, type World } from '../support/world.ts'

const tls = (file: string) => readFileSync(new URL(`../support/tls/${file}`, import.meta.url), 'utf8')

let connections: number
let answer: RequestListener
let secure: Server
let plain: Server
beforeEach(async () => {
  connections = 0
  const listener: RequestListener = (request, response) => answer(request, response)
  secure = createServer({ key: tls('key.pem'), cert: tls('cert.pem') }, listener)
  plain = createPlainServer(listener)
  for (const server of [secure, plain]) {
    server.on('connection', () => {
      connections += 1
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  }
})
afterEach(async () => {
  for (const server of [secure, plain]) await new Promise((done) => server.close(done))
})
const portOf = (server: Server) => {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

const NAMES = new Map([
  ['inside.example', ['10.0.0.1']],
  ['inside.example.', ['10.0.0.1']],
  ['mixed.example', ['93.184.215.14', '10.0.0.1']],
  ['mapped.example', ['::ffff:10.0.0.1']],
  ['other.example', ['127.0.0.1']],
])
const names: PublicFetchOptions = {
  resolve: async (host) =>
    NAMES.get(host)?.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })) ??
    lookup(host, { all: true }),
}
/** `other.example` is the test's server, as if it stood in the public internet. */
const outside: PublicFetchOptions = {
  ...names,
  ca: tls('cert.pem'),
  rules: addressRules([], (address) => address === '127.0.0.1' || isPublicAddress(address)),
}
const front = () => `https://other.example:${portOf(secure)}`

const LIMITS = { milliseconds: 400, bytes: 64 * 1024 }
/** Both uses, and with which code each says no. */
const uses: [string, string, (url: string, how: PublicFetchOptions) => Promise<unknown>][] = [
  [
    'a key server',
    'key_server_refused',
    (url, how) => {
      const fetch = createPublicFetch({ ...how, refusal: 'key_server_refused' })
      // The operator may even have listed it.
      const options = { isOwnUrl: () => false, allowed: [url] }
      const bounded: typeof fetch = (at, limits) => fetch(at, { ...limits, ...LIMITS })
      const find = createIdentityLookup({ fetch: bounded, clock: manualClock(), log: silent }, options)
      return find(url, generateSigningKey().did, 'eip155:0x0')
    },
  ],
  [
    'a webhook',
    'forbidden',
    (url, how) => createPublicFetch(how)(url, { ...LIMITS, body: '{}', headers: {} }),
  ],
]

describe.each(uses)('%s', (_, refusal, ask) => {
  it.each([
    'http://169.254.169.254/latest/meta-data',
    'https://169.254.169.254',
    'http://127.1:<plain>',
    'https://127.1:<secure>',
    'http://[::1]',
    'https://[::1]:8443',
    'https://2130706433:<secure>',
    'https://0177.0.0.1:<secure>',
    'https://0x7f.1:<secure>',
    'http://0x7f000001:<plain>',
    'https://127.0.0.1.:<secure>',
    'https://１２７.0.0.1:<secure>',
    'https://[::ffff:127.0.0.1]:<secure>',
    'https://[::ffff:a9fe:a9fe]',
    'https://[64:ff9b::a9fe:a9fe]',
    'https://[2002:7f00:1::]',
    'https://[fe80::1]',
    'https://0:<secure>',
    'https://0.0.0.0:<secure>',
    'https://user:word@127.0.0.1:<secure>',
    'https://10.0.0.1:8443',
    'https://100.64.0.1',
    'https://localhost:<secure>',
    'http://localhost:<plain>',
    'https://inside.example',
    'https://inside.example.',
    'https://mixed.example',
    'https://mapped.example',
    'http://8.8.8.8',
    'http://other.example:<plain>',
    'ftp://8.8.8.8',
    'file:///etc/passwd',
  ])('at %s is refused, and nothing inside hears of it', async (text) => {
    answer = (_request, response) => void response.end('{}')
    const url = text.replace('<plain>', `${portOf(plain)}`).replace('<secure>', `${portOf(secure)}`)
    const how: PublicFetchOptions = { ...names, ca: tls('cert.pem') }
    await expect(ask(url, how)).rejects.toMatchObject({ code: refusal })
    expect(connections).toBe(0)
  })

  it.each([
    'http://169.254.169.254/',
    'https://inside.example/',
    'https://[::1]/',
    'https://10.1',
    'http://other.example/',
    'file:///etc/passwd',
  ])('that redirects to %s is refused', async (location) => {
    answer = (_request, response) => void response.writeHead(307, { location }).end()
    const failure = await ask(front(), outside).catch((error: unknown) => error)
    // What is posted is not posted again elsewhere, wherever that is.
    const code = refusal === 'forbidden' ? 'unavailable' : refusal
    expect(failure).toMatchObject({
      code,
      message: expect.stringMatching(/redirects, which is not followed|not a public one|not https/),
    })
    expect(connections).toBe(1)
  })

  it.each([true, false])('that answers a gigabyte (announced: %s) is cut off', async (isAnnounced) => {
    const GIGABYTE = 2 ** 30
    let sent = 0
    answer = (_request, response) => {
      if (isAnnounced) response.setHeader('content-length', GIGABYTE)
      const piece = Buffer.alloc(64 * 1024, 32)
      const more = () => {
        while (sent < GIGABYTE && !response.destroyed) {
          sent += piece.length
          if (!response.write(piece)) return
        }
      }
      response.on('drain', more)
      more()
    }
    await expect(ask(front(), outside)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('too long'),
    })
    // What buffers on the way hold.
    expect(sent).toBeLessThan(32 * 2 ** 20)
  })

  it.each([true, false])('that answers for ten minutes (begun: %s) is not waited for', async (isBegun) => {
    let closed = false
    answer = (_request, response) => {
      const timer = setInterval(() => isBegun && response.write(' '), 20)
      response.on('close', () => {
        clearInterval(timer)
        closed = true
      })
    }
    await expect(ask(front(), outside)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('in time'),
    })
    await eventually(() => expect(closed).toBe(true))
  })
})

describe('a URL', () => {
  it('with a user name or a password is refused before a connection is made', async () => {
    const ask = createPublicFetch(outside)
    for (const user of ['me', 'me:word', ':word']) {
      const url = front().replace('//', `//${user}@`)
      await expect(ask(url, LIMITS)).rejects.toMatchObject({ code: 'forbidden' })
    }
    await expect(ask('nonsense', LIMITS)).rejects.toMatchObject({ code: 'bad_params' })
    expect(connections).toBe(0)
  })

  it('says nothing about what a name leads to', async () => {
    const failure = await createPublicFetch(names)('https://inside.example', LIMITS).catch(String)
    expect(failure).toContain('not a public one')
    expect(failure).not.toContain('10.0.0.1')
  })
})

describe('a public host', () => {
  it('gets what is posted, with its headers, and is answered for', async () => {
    answer = (request, response) => {
      let body = ''
      request.on('data', (piece) => {
        body += String(piece)
      })
      request.on('end', () => {
        const { method, url, headers } = request
        const [id, length] = [headers['webhook-id'], headers['content-length']]
        response.writeHead(410, { 'retry-after': '7' }).end(JSON.stringify({ method, url, id, length, body }))
      })
    }
    const { status, headers, body } = await createPublicFetch(outside)(`${front()}/hook?a=b`, {
      ...LIMITS,
      milliseconds: 5_000,
      headers: { 'webhook-id': 'evt_1' },
      body: 'größer',
    })
    expect({ status, after: headers['retry-after'] }).toEqual({ status: 410, after: '7' })
    expect(JSON.parse(body)).toEqual({
      method: 'POST',
      url: '/hook?a=b',
      id: 'evt_1',
      length: '8',
      body: 'größer',
    })
  })
})

describe('what the operator allows', () => {
  const reach = (allowed: string[], url: string) =>
    createPublicFetch({ ...names, ca: tls('cert.pem'), rules: addressRules(allowed) })(url, {
      ...LIMITS,
      milliseconds: 5_000,
    })

  it.each([
    [['127.0.0.1'], 'http://127.0.0.1'],
    [['127.0.0.0/8'], 'http://127.1'],
    [['127.0.0.0/8'], 'http://other.example'],
    [['Other.Example.'], 'http://other.example'],
    [['localhost'], 'http://localhost'],
    [['true'], 'http://127.0.0.1'],
    [['10.0.0.0/8', 'other.example'], 'http://other.example.'],
  ])('%j is reached, in plain http too: %s', async (allowed, url) => {
    answer = (_request, response) => void response.end('{}')
    const front = url.endsWith('.') ? url.replace(/\.$/, '') : url
    expect(await reach(allowed, `${front}:${portOf(plain)}`)).toMatchObject({ status: 200, body: '{}' })
    expect(connections).toBe(1)
  })

  it.each([
    [['10.0.0.0/8'], 'http://127.0.0.1'],
    [['::1'], 'http://127.0.0.1'],
    [['example'], 'http://other.example'],
    [['elsewhere.example', '128.0.0.0/8'], 'http://other.example'],
    [['true'], 'http://8.8.8.8'],
  ])('%j allows nothing else: %s', async (allowed, url) => {
    await expect(reach(allowed, `${url}:${portOf(plain)}`)).rejects.toMatchObject({ code: 'forbidden' })
    expect(connections).toBe(0)
  })

  it.each([
    'hooks.internal',
    'localhost',
    '10.0.0.0/8',
    'fd00::/8',
    '::1',
    '[::1]',
    '192.168.1.7',
    'true',
    'a:80',
    '[::1]:8080',
    '10.0.0.0/8:443',
  ])('%s can be said', (text) => expect(isAddressRule(text)).toBe(true))
  it.each([
    '',
    'http://a',
    'a b',
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0/8',
    '/8',
    'a/8',
    '-a',
    'a:0',
    'a:65536',
    'a:b',
    ':80',
  ])('%j means nothing', (text) => expect(isAddressRule(text)).toBe(false))
})

describe('a wallet', () => {
  const LISTED = ['https://10.0.0.1', 'https://127.1', 'https://[::1]:8443', 'https://localhost']
  let world: World
  beforeAll(async () => {
    world = await startWorld({ config: { publicUrl: 'https://notify.example', keyServers: LISTED } })
  })
  afterAll(() => world[Symbol.asyncDispose]())

  it.each([...LISTED, 'http://169.254.169.254', 'http://127.1', 'http://[::1]', 'https://elsewhere.example'])(
    'that names %s as its key server is told that it is not asked',
    async (keysUrl) => {
      const deps = { clock: systemClock, fetch }
      const owner = newOwner()
      await using wallet = createWallet(
        {
          relayUrl: world.wsUrl,
          notifyUrl: world.url,
          keysUrl,
          account: owner.account,
          sign: async (text) => owner.sign(text),
          domain: 'wallet.example',
          allApps: true,
          resolveAppKeys: fromNotifyServer(deps, world.url),
        },
        // It says that it has registered there.
        { keys: { ...createKeysClient(deps, { url: world.url }), registerIdentity: async () => {} } },
      )
      await expect(wallet.watch()).rejects.toMatchObject({ code: 'key_server_refused' })
    },
  )
})
