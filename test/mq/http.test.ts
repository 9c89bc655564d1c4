import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ed25519Signer, messageProofText } from '../../src/mq/signers.ts'
import { createTokens, tokenKeyFrom } from '../../src/mq/token.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { decodeJwt, signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Agent, agentOf, type HubApi, hasty, hubAt, newAgent, newSsiAgent } from './agents.ts'

let world: World
let hub: HubApi
const domains = {
  default: hasty,
  'vault.csc': hasty,
  small: { ...hasty, messageBytes: 64, queueLength: 3 },
  off: { ...hasty, enabled: false },
}
beforeAll(async () => {
  world = await startWorld({ rooms: ['mq', 'keys'], config: { mq: { domains } } })
  hub = hubAt(world.url)
})
afterAll(() => world[Symbol.asyncDispose]())

const refusal = (code: string, error: unknown = expect.any(String)) => ({ error, code })
const message = (text: string) => ({ messageId: expect.any(String), message: text })

describe('GET /bdns', () => {
  it('names the domains that are on, each with our URL', async () => {
    const { status, body } = await world.http('GET', '/bdns')
    const here = { mqEndpoints: [world.server.url] }
    expect({ status, body }).toEqual({
      status: 200,
      body: { default: here, 'vault.csc': here, small: here },
    })
  })
})

describe('1 a token', () => {
  it('200: is a JWT of ours for one queue, with its end in ms and how long a poll lasts', async () => {
    const { hash } = newAgent()
    const before = Date.now()
    const { status, body, headers } = await hub.ask('GET', `/${hash}/token`)
    const after = Date.now()
    expect({ status, body }).toEqual({
      status: 200,
      body: { token: expect.any(String), expires: expect.any(Number) },
    })
    expect(headers.get('connection-timeout')).toBe('200')
    expect(headers.get('cache-control')).toBe('no-store')
    const { token, expires } = Object(body)
    const { claims, header } = decodeJwt(token)
    expect(header.alg).toBe('EdDSA')
    const { port } = new URL(world.server.url)
    expect(claims).toEqual({
      iss: `did:web:localhost%3A${port}`,
      sub: hash,
      aud: 'mq:default',
      iat: expect.any(Number),
      exp: claims.iat + 900,
      jti: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    expect(expires).toBe(claims.exp * 1000)
    // In whole seconds.
    expect(expires).toBeGreaterThan(before + 899_000)
    expect(expires).toBeLessThanOrEqual(after + 900_000)
  })

  it('405: of a domain that is not on, and 400: of what is no hash', async () => {
    const { hash } = newAgent()
    for (const domain of ['off', 'unknown', '__proto__', 'constructor']) {
      const { status, body } = await hubAt(world.url, domain).ask('GET', `/${hash}/token`)
      expect({ domain, status, body }).toEqual({
        domain,
        status: 405,
        body: refusal('method_not_allowed', 'The domain has no message queues'),
      })
    }
    for (const wrong of ['x', '0'.repeat(44), `${hash}1`, hash.slice(3), encodeURIComponent('a/b')]) {
      const { status, body } = await hub.ask('GET', `/${wrong}/token`)
      expect({ wrong, status, body }).toEqual({
        wrong,
        status: 400,
        body: { ...refusal('bad_params', expect.stringContaining('base58')), field: 'hashDID' },
      })
    }
  })
})

describe('2 a put', () => {
  it('200: unwraps an object with a message, and keeps everything else as it is', async () => {
    const agent = newAgent()
    for (const [body, kept] of [
      ['{"message":"Content of message sent"}', 'Content of message sent'],
      ['  {"message":"é ✓","more":1}', 'é ✓'],
      ['{"message":1}', '{"message":1}'],
      ['{"text":"x"}', '{"text":"x"}'],
      ['["message"]', '["message"]'],
      ['{not json', '{not json'],
      ['plain text', 'plain text'],
    ] as const) {
      const put = await hub.ask('PUT', `/put/${agent.hash}`, await hub.token(agent.hash), { body })
      expect(put).toMatchObject({ status: 200, body: { messageId: expect.stringMatching(/^[\w-]{24}$/) } })
      expect(await hub.take(agent)).toMatchObject({
        status: 200,
        body: { ...(put.body as object), message: kept },
      })
    }
  })

  it('takes the token in either header, with or without Bearer', async () => {
    const { hash } = newAgent()
    const token = await hub.token(hash)
    for (const headers of [
      { 'x-mq-authorization': token },
      { 'x-mq-authorization': `Bearer ${token}` },
      { authorization: token },
      { authorization: `bearer ${token}` },
      { authorization: 'garbage', 'x-mq-authorization': token },
    ]) {
      const { status } = await hub.ask('PUT', `/put/${hash}`, undefined, { body: 'x', headers })
      expect({ headers: Object.keys(headers), status }).toMatchObject({ status: 200 })
    }
  })

  it('405: into a domain that is not on, before anything else', async () => {
    for (const domain of ['off', 'unknown']) {
      const { status, body } = await hubAt(world.url, domain).ask('PUT', '/put/x', 'garbage', { body: 'x' })
      expect({ status, body }).toEqual({
        status: 405,
        body: refusal('method_not_allowed', 'The domain has no message queues'),
      })
    }
  })

  it('403: one that is too long, in the published words; 10 KiB are not', async () => {
    const agent = newAgent()
    const token = await hub.token(agent.hash)
    const put = (body: string) => hub.ask('PUT', `/put/${agent.hash}`, token, { body })
    const long = { status: 403, body: refusal('too_large', 'Message size exceeds domain specific limit.') }
    expect(await put(JSON.stringify({ message: 'x'.repeat(10_240) }))).toMatchObject({ status: 200 })
    // In JSON a character may take six bytes.
    expect(await put(`{"message":"${'\\u0001'.repeat(10_240)}"}`)).toMatchObject({ status: 200 })
    expect(await put(JSON.stringify({ message: 'x'.repeat(10_241) }))).toMatchObject(long)
    expect(await put('é'.repeat(5_121))).toMatchObject(long)
    expect(await put('x'.repeat(200_000))).toMatchObject(long)
  })

  it('400: an empty one, and one that is not UTF-8', async () => {
    const { hash } = newAgent()
    const token = await hub.token(hash)
    for (const body of ['', '{"message":""}']) {
      expect(await hub.ask('PUT', `/put/${hash}`, token, { body })).toMatchObject({
        status: 400,
        body: { code: 'bad_params', field: 'message' },
      })
    }
    const response = await fetch(`${world.url}/mq/default/put/${hash}`, {
      method: 'PUT',
      headers: { 'x-mq-authorization': token },
      body: Uint8Array.of(0xff, 0xfe),
    })
    expect(response.status).toBe(400)
  })

  it('cuts off a body that does not end', async () => {
    const { hash } = newAgent()
    const token = await hub.token(hash)
    const { hostname, port } = new URL(world.url)
    const socket = connect(Number(port), hostname)
    const head = [
      `PUT /mq/default/put/${hash} HTTP/1.1`,
      `host: ${hostname}`,
      `x-mq-authorization: ${token}`,
      'transfer-encoding: chunked',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    let answer = ''
    let sent = 0
    await new Promise<void>((resolve, reject) => {
      socket.on('data', (data) => {
        answer += data
        resolve()
      })
      socket.on('error', () => resolve())
      const send = () => {
        if (answer !== '' || socket.destroyed) return
        if (sent > 64_000_000) return reject(new Error('it reads on and on'))
        sent += 65_536
        socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`, () => setImmediate(send))
      }
      send()
    })
    socket.destroy()
    expect(answer).toMatch(/^HTTP\/1.1 403 /)
    expect(sent).toBeLessThan(64_000_000)
  })

  it('500: into a queue that is full, in the published words', async () => {
    const small = hubAt(world.url, 'small')
    const agent = newAgent()
    for (const text of ['a', 'b', 'c']) await small.put(agent.hash, text)
    const put = async () =>
      small.ask('PUT', `/put/${agent.hash}`, await small.token(agent.hash), { body: 'd' })
    const { status, body } = await put()
    expect({ status, body }).toEqual({ status: 500, body: refusal('quota_reached', 'Queue size exceeded!') })
    expect((await small.take(agent)).body).toEqual(message('a'))
    expect((await put()).status).toBe(200)
  })
})

describe('2 a sender', () => {
  const putAs = async (to: Agent, sender: Agent, change: Record<string, string | undefined> = {}) => {
    const token = await hub.token(to.hash)
    const proof: Record<string, string | undefined> = {
      'x-mq-sender': sender.did,
      'x-mq-signature': await sender.sign(token),
      ...change,
    }
    const headers = Object.fromEntries(
      Object.entries(proof).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    )
    return hub.ask('PUT', `/put/${to.hash}`, token, { body: 'hello', headers })
  }

  it.each([
    ['did:key, Ed25519', newAgent()],
    ['did:ssi:key of the domain', newSsiAgent()],
    ['did:ssi:key of another domain', newSsiAgent('elsewhere')],
  ])('is told to the reader when it proved itself: %s', async (_, sender) => {
    const agent = newSsiAgent()
    expect((await putAs(agent, sender)).status).toBe(200)
    const expected = { ...message('hello'), sender: sender.did }
    expect((await hub.get(agent)).body).toEqual(expected)
    expect((await hub.take(agent)).body).toEqual(expected)
  })

  it('is told with `messageSigned` where its proof covers the message', async () => {
    const [agent, sender] = [newAgent(), newSsiAgent()]
    const token = await hub.token(agent.hash)
    const proof = await sender.sign(messageProofText(token, 'hello ✓'))
    const covering = { 'x-mq-message-signature': proof }
    const put = (body: string, signatures: Record<string, string> = covering) => {
      const headers = { 'x-mq-sender': sender.did, ...signatures }
      return hub.ask('PUT', `/put/${agent.hash}`, token, { body, headers })
    }
    // Whoever saw the proof puts no other message with it, nor passes it off as one for the token alone.
    expect((await put('hello x')).status).toBe(403)
    expect((await put('hello ✓', { 'x-mq-signature': proof })).status).toBe(403)
    expect((await put('hello x', { ...covering, 'x-mq-signature': await sender.sign(token) })).status).toBe(
      403,
    )
    expect((await put(JSON.stringify({ message: 'hello ✓' }))).status).toBe(200)
    const expected = { ...message('hello ✓'), sender: sender.did, messageSigned: true }
    expect((await hub.get(agent)).body).toEqual(expected)
    expect((await hub.take(agent)).body).toEqual(expected)
    expect((await hub.get(agent)).status).toBe(204)
  })

  it('403: that is forged, or half of it', async () => {
    const [agent, sender, forger] = [newAgent(), newAgent(), newSsiAgent()]
    const old = await sender.sign(await hub.token(agent.hash))
    for (const change of [
      { 'x-mq-sender': forger.did },
      { 'x-mq-signature': old },
      { 'x-mq-signature': await forger.sign('x') },
      { 'x-mq-signature': 'garbage' },
      { 'x-mq-signature': undefined },
      { 'x-mq-sender': undefined },
    ]) {
      const { status, body } = await putAs(agent, sender, change)
      expect({ change: Object.keys(change), status, body }).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      })
    }
    expect((await putAs(agent, sender, { 'x-mq-sender': 'nobody' })).status).toBe(400)
    // Nothing of all that has come.
    expect((await hub.get(agent)).status).toBe(204)
  })
})

describe('3 a get', () => {
  it('200: shows the oldest message, again and again; 204: there is none', async () => {
    const agent = newSsiAgent()
    const before = Date.now()
    const none = await hub.get(agent)
    expect({ status: none.status, body: none.body }).toEqual({ status: 204, body: undefined })
    expect(Date.now() - before).toBeGreaterThanOrEqual(190)
    const id = await hub.put(agent.hash, 'Welcome to application')
    await hub.put(agent.hash, 'second')
    for (let round = 0; round < 2; round++) {
      const { status, body } = await hub.get(agent)
      expect({ status, body }).toEqual({
        status: 200,
        body: { messageId: id, message: 'Welcome to application' },
      })
    }
  })

  it('405: of a domain that is not on', async () => {
    for (const [method, path] of [
      ['GET', '/get/x/y'],
      ['GET', '/take/x/y'],
      ['GET', '/take/x/id/y'],
      ['DELETE', '/delete/x/id/y'],
    ] as const) {
      const answer = await hubAt(world.url, 'off').ask(method, path, 'garbage')
      expect(answer).toMatchObject({ status: 405, body: { error: 'The domain has no message queues' } })
      expect(answer.headers.get('allow')).toBe('')
    }
  })

  it('answers HEAD as GET where nothing is changed; else with 405, and takes nothing by it', async () => {
    const agent = newAgent()
    await hub.put(agent.hash, 'here')
    const { token, signature } = await hub.access(agent)
    expect((await hub.ask('HEAD', `/${agent.hash}/token`)).status).toBe(200)
    expect((await hub.ask('HEAD', `/get/${agent.hash}/${signature}`, token)).status).toBe(200)
    for (const path of [`/take/${agent.hash}/${signature}`, `/take/${agent.hash}/id/${signature}`]) {
      const { status, headers } = await hub.ask('HEAD', path, token)
      expect({ path, status, allow: headers.get('allow') }).toEqual({ path, status: 405, allow: 'GET' })
    }
    expect((await hub.take(agent)).body).toEqual(message('here'))
  })
})

describe('4 a delete', () => {
  it('200: removes the message; also one that is not there, whatever its id looks like', async () => {
    const agent = newAgent()
    const id = await hub.put(agent.hash, 'first')
    await hub.put(agent.hash, 'second')
    for (const one of [
      id,
      id,
      'unknown',
      '56WGghXyP8N54zbRdTCEXRXWalW236Nktow3XN7NFBdY/1668006644827',
      'a%2Fb',
    ]) {
      const { status, body } = await hub.remove(agent, one)
      expect({ one, status, body }).toEqual({ one, status: 200, body: {} })
    }
    expect((await hub.get(agent)).body).toEqual(message('second'))
  })
})

describe('5 a take', () => {
  it('200: gives and removes the oldest, or the one of that id', async () => {
    const agent = newAgent()
    const ids = []
    for (const text of ['a', 'b', 'c']) ids.push(await hub.put(agent.hash, text))
    expect(await hub.take(agent, ids[1])).toMatchObject({
      status: 200,
      body: { messageId: ids[1], message: 'b' },
    })
    expect(await hub.take(agent)).toMatchObject({ status: 200, body: { messageId: ids[0], message: 'a' } })
    expect(await hub.take(agent, encodeURIComponent(ids[2] ?? ''))).toMatchObject({ body: { message: 'c' } })
    expect((await hub.take(agent)).status).toBe(204)
  })

  it('500: of an id that is not there, in the published words', async () => {
    const agent = newAgent()
    const id = await hub.put(agent.hash, 'a')
    expect((await hub.take(agent, id)).status).toBe(200)
    for (const one of [id, 'unknown', 'two/segments', 'two%2Fsegments', '%00', 'x'.repeat(3_000)]) {
      const { status, body } = await hub.take(agent, one)
      expect({ status, body }).toEqual({ status: 500, body: refusal('not_found', 'message not found') })
    }
  })

  it('of two at once one gets the message and the other one nothing', async () => {
    for (let round = 0; round < 5; round++) {
      const agent = newAgent()
      await hub.put(agent.hash, 'only one')
      const answers = await Promise.all([hub.take(agent), hub.take(agent)])
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 204])
    }
  })
})

describe('who may not', () => {
  /** Every way into a queue. */
  const ways = (hash: string, id: string, token: string | undefined, signature: string, api = hub) =>
    [
      ['GET', `/get/${hash}/${signature}`],
      ['GET', `/take/${hash}/${signature}`],
      ['GET', `/take/${hash}/${id}/${signature}`],
      ['DELETE', `/delete/${hash}/${id}/${signature}`],
    ].map(([method = '', path = '']) => api.ask(method, path, token))

  it('gets 403 everywhere, and nothing happens', async () => {
    const [owner, stranger] = [newSsiAgent(), newSsiAgent()]
    const id = await hub.put(owner.hash, 'private')
    const mine = await hub.access(owner)
    const another = await hub.access(owner)
    const theirs = await hub.access(stranger)
    const ofDomain = await hubAt(world.url, 'vault.csc').access(owner)
    const forger = generateSigningKey()
    const { claims } = decodeJwt(mine.token)
    const selfSigned = signJwt({ ...claims, iss: forger.did }, forger)
    const now = Date.now()
    const { token: expired } = await createTokens({
      key: tokenKeyFrom(new Uint8Array(32).fill(1)),
      issuer: claims.iss,
      clock: { ...systemClock, now: () => now - 901_000 },
      randomBytes: (length) => new Uint8Array(length),
    }).issue({ domain: 'default', hashDID: owner.hash })
    const tampered = mine.token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))

    const attempts: Record<string, [token: string | undefined, signature: string]> = {
      'no token': [undefined, mine.signature],
      'an empty token': ['', mine.signature],
      garbage: ['garbage', mine.signature],
      'more garbage': ['a.b.c', mine.signature],
      'a self-signed token, signed by its owner': [selfSigned, await owner.sign(selfSigned)],
      'a token of another key': [expired, await owner.sign(expired)],
      'a tampered token': [tampered, await owner.sign(tampered)],
      'a token of another queue': [theirs.token, await owner.sign(theirs.token)],
      'a token of another domain': [ofDomain.token, ofDomain.signature],
      'no proof': [mine.token, 'x'],
      'a signature of another token': [mine.token, another.signature],
      'a token for this queue, signed by a stranger': [mine.token, await stranger.sign(mine.token)],
      'all that a stranger has': [theirs.token, theirs.signature],
      'the JWS of a stranger': [mine.token, await newAgent().sign(mine.token)],
      'a signature with a flipped bit': [
        mine.token,
        mine.signature.replace(/.$/, (d) => (d === '0' ? '1' : '0')),
      ],
      'a long signature': [mine.token, 'ab'.repeat(2_000)],
    }
    for (const [name, [token, signature]] of Object.entries(attempts)) {
      for (const { status, body } of await Promise.all(ways(owner.hash, id, token, signature))) {
        expect({ name, status, body }).toEqual({ name, status: 403, body: refusal('forbidden') })
      }
    }
    for (const token of [undefined, 'garbage', selfSigned, expired, tampered, theirs.token, ofDomain.token]) {
      const { status, body } = await hub.ask('PUT', `/put/${owner.hash}`, token, { body: 'x' })
      expect({ status, body }).toEqual({ status: 403, body: refusal('forbidden') })
    }
    expect((await hub.get(owner)).body).toEqual({ messageId: id, message: 'private' })
    expect((await hub.take(owner)).status).toBe(200)
    expect((await hub.take(owner)).status).toBe(204)
  })

  it('a reader of one domain has nothing in another one', async () => {
    const agent = newAgent()
    const vault = hubAt(world.url, 'vault.csc')
    const id = await hub.put(agent.hash, 'of default')
    expect((await vault.get(agent)).status).toBe(204)
    expect((await vault.take(agent, id)).status).toBe(500)
    expect((await vault.remove(agent, id)).status).toBe(200)
    await vault.put(agent.hash, 'of the vault')
    expect((await vault.take(agent)).body).toEqual(message('of the vault'))
    expect((await hub.take(agent)).body).toEqual(message('of default'))
  })

  it('a proof of one kind is none for the DID of another', async () => {
    const key = generateSigningKey()
    const agent = agentOf(ed25519Signer(key))
    const victim = newAgent()
    const token = await hub.token(victim.hash)
    // The kid of the victim, signed with another key.
    const header = Buffer.from(JSON.stringify({ alg: 'EdDSA', kid: victim.did })).toString('base64url')
    const [, , end = ''] = (await agent.sign(token)).split('.')
    const answer = await hub.ask('GET', `/get/${victim.hash}/${header}..${end}`, token)
    expect(answer.status).toBe(403)
  })
})

describe('many puts', () => {
  it('100 at once are all kept, once, before whatever is put after their answers', async () => {
    const agent = newAgent()
    // Its reader was there, so its queue has the whole length.
    await hub.get(agent)
    const token = await hub.token(agent.hash)
    const ids: string[] = []
    for (const wave of ['first', 'second']) {
      const puts = await Promise.all(
        Array.from({ length: 100 }, (_, at) =>
          hub.ask('PUT', `/put/${agent.hash}`, token, { body: `${wave} ${at}` }),
        ),
      )
      expect(puts.map(({ status }) => status)).toEqual(puts.map(() => 200))
      ids.push(...puts.map(({ body }) => String(Object(body).messageId)))
    }
    expect(new Set(ids).size).toBe(200)

    const { token: held, signature } = await hub.access(agent)
    const taken: { messageId: string; message: string }[] = []
    for (let at = 0; at < 200; at++) {
      taken.push(Object((await hub.ask('GET', `/take/${agent.hash}/${signature}`, held)).body))
    }
    expect(taken.map(({ messageId }) => messageId).sort()).toEqual([...ids].sort())
    const waves = taken.map(({ message }) => message.split(' ')[0])
    expect(waves).toEqual([...Array(100).fill('first'), ...Array(100).fill('second')])
    expect((await hub.take(agent)).status).toBe(204)
  })

  it('of ten senders at once are given in the order of each', async () => {
    const agent = newAgent()
    const token = await hub.token(agent.hash)
    const put = (text: string) => hub.ask('PUT', `/put/${agent.hash}`, token, { body: text })
    // Ten senders, each of whom waits for an answer before the next.
    await Promise.all(
      Array.from({ length: 10 }, async (_, sender) => {
        for (let at = 0; at < 10; at++) expect((await put(`${sender} ${at}`)).status).toBe(200)
      }),
    )
    const seen: string[] = []
    const { token: held, signature } = await hub.access(agent)
    for (let at = 0; at < 100; at++) {
      const peeked = await hub.ask('GET', `/get/${agent.hash}/${signature}`, held)
      const taken = await hub.ask('GET', `/take/${agent.hash}/${signature}`, held)
      expect(taken.body).toEqual(peeked.body)
      seen.push(Object(taken.body).message)
    }
    for (let sender = 0; sender < 10; sender++) {
      const own = seen.filter((text) => text.startsWith(`${sender} `))
      expect(own).toEqual(Array.from({ length: 10 }, (_, at) => `${sender} ${at}`))
    }
    expect((await hub.take(agent)).status).toBe(204)
  })
})

describe('browsers', () => {
  it('may ask from anywhere, with the headers that it takes', async () => {
    const { hash } = newAgent()
    const response = await fetch(`${world.url}/mq/default/put/${hash}`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example.com',
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'x-mq-authorization,x-mq-sender',
      },
    })
    expect(response.status).toBe(204)
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(response.headers.get('access-control-allow-methods')).toContain('PUT')
    expect(response.headers.get('access-control-allow-headers')).toContain('x-mq-authorization')
    const refused = await hub.ask('GET', `/get/${hash}/x`, 'garbage')
    expect(refused.headers.get('access-control-allow-origin')).toBe('*')
    expect(refused.headers.get('access-control-expose-headers')).toContain('connection-timeout')
  })

  it('and whoever uses another method is told which ones there are', async () => {
    const { hash } = newAgent()
    const { status, headers } = await hub.ask('POST', `/put/${hash}`, undefined, { body: 'x' })
    expect({ status, allow: headers.get('allow') }).toEqual({ status: 405, allow: 'PUT' })
  })
})
