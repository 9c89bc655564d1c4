import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { composeServer, type RunningServer } from '../../src/server/compose.ts'
import { configWith } from '../../src/server/config/config.ts'
import { StartError } from '../../src/server/config/start-error.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/process.ts'
import { startWorld, type World } from '../support/world.ts'

const dirs: string[] = []
const newDir = () => {
  const dir = mkdtempSync(join(tmpdir(), 'belfry-server-'))
  dirs.push(dir)
  return dir
}
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

const relayToken = (aud: string) => {
  const key = generateSigningKey()
  const iat = Math.floor(Date.now() / 1000)
  return signJwt({ iss: key.did, sub: 'ab'.repeat(32), aud, iat, exp: iat + 86_400 }, key)
}

const NEWS = { name: 'News', description: 'what is new' }
const added = (world: World, body: unknown, token = world.adminToken) =>
  world.http('POST', '/admin/apps', { token, body })

describe('one port', () => {
  it('answers for every room', async () => {
    await using world = await startWorld()
    const statuses = await Promise.all(
      [
        '/health',
        '/ready',
        '/.well-known/did.json',
        '/w3i/v1/projects',
        '/openapi.json',
        '/identity?publicKey=x',
      ].map(async (path) => [path, (await world.http('GET', path)).status]),
    )
    expect(Object.fromEntries(statuses)).toEqual({
      '/health': 200,
      '/ready': 200,
      '/.well-known/did.json': 200,
      '/w3i/v1/projects': 200,
      '/openapi.json': 200,
      '/identity?publicKey=x': 400,
    })
    expect((await world.http('POST', '/rpc', { body: {} })).status).toBe(401)
  })

  it('says in its own words what is not there, or not with this method', async () => {
    await using world = await startWorld()
    expect(await world.http('GET', '/nothing/here')).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    })
    for (const [method, path] of [
      ['POST', '/health'],
      ['GET', '/rpc'],
      ['PUT', '/identity'],
      ['PATCH', '/admin/apps'],
    ] as const) {
      const { status, body, headers } = await world.http(method, path, { token: world.adminToken })
      expect({ path, status, body }).toMatchObject({
        path,
        status: 405,
        body: { code: 'method_not_allowed' },
      })
      expect(headers.get('allow')).toBeTruthy()
    }
  })

  it('lets web pages ask the relay over HTTP', async () => {
    await using world = await startWorld()
    const { status, headers } = await world.http('OPTIONS', '/rpc', {
      headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' },
    })
    expect(status).toBe(204)
    expect(headers.get('access-control-allow-origin')).toBe('*')
  })
})

describe('/ready', () => {
  it('asks the store and the relay', async () => {
    await using world = await startWorld()
    expect((await world.http('GET', '/ready')).body).toEqual({
      ready: true,
      checks: { store: 'ok', relay: 'ok', process: 'ok' },
    })
  })

  it('says no while the relay is not there, and /health yes', async () => {
    const relayUrl = `ws://127.0.0.1:${await freePort()}`
    const config = configWith({
      port: 0,
      host: '127.0.0.1',
      data: newDir(),
      metrics: 'off',
      rooms: ['notify', 'keys'],
      relayUrl,
    })
    await using server = await composeServer(config)
    server.ready().catch(() => {})
    const ready = await fetch(`${server.loopbackUrl}/ready`)
    expect(ready.status).toBe(503)
    expect(await ready.json()).toEqual({
      ready: false,
      checks: { store: 'ok', relay: 'failed', process: 'ok' },
      reasons: ['The notify server is not connected to its relay'],
    })
    expect((await fetch(`${server.loopbackUrl}/health`)).status).toBe(200)
  })

  it('says no when the store is gone', async () => {
    await using world = await startWorld()
    await world.stores[Symbol.asyncDispose]()
    expect(await world.http('GET', '/ready')).toMatchObject({
      status: 503,
      body: { ready: false, checks: { store: 'failed' }, reasons: [expect.stringContaining('closed')] },
    })
  })
})

describe('/metrics', () => {
  it('has a port of its own', async () => {
    await using world = await startWorld({ config: { metrics: 0 } })
    const { metricsUrl = '' } = world.server
    await world.http('GET', '/health')
    const text = await (await fetch(metricsUrl)).text()
    expect(text).toContain('belfry_http_requests_total{method="GET",route="/health",status="200"} 1')
    expect(text).toContain('belfry_relay_connections 1')
    expect((await world.http('GET', '/metrics')).status).toBe(404)
  })

  it('is for this machine alone, unless an address is named', async () => {
    const [outside] = Object.values(networkInterfaces()).flatMap((each) =>
      (each ?? []).filter(({ internal, family }) => !internal && family === 'IPv4'),
    )
    // Where there is no network at all, another address of this machine stands for it.
    const address = outside?.address ?? '127.0.0.2'
    const statusAt = async (server: RunningServer) => {
      const { port } = new URL(server.metricsUrl ?? '')
      const answer = await fetch(`http://${address}:${port}/metrics`).catch(() => undefined)
      return answer?.status ?? 'refused'
    }
    await using closed = await startWorld({ config: { metrics: 0, host: undefined } })
    expect(await statusAt(closed.server)).toBe('refused')
    await using open = await startWorld({ config: { metrics: { host: '0.0.0.0', port: 0 } } })
    expect(await statusAt(open.server)).toBe(200)
    expect((await fetch(open.server.metricsUrl ?? '')).status).toBe(200)
  })

  it('lets an address keep 16 connections and no more, whose others go on and who may use the main port', async () => {
    await using world = await startWorld({ config: { metrics: 0 } })
    const { metricsUrl = '' } = world.server
    const { port } = new URL(metricsUrl)
    const idle = Array.from({ length: 16 }, () => connect(Number(port), '127.0.0.1'))
    await Promise.all(idle.map((socket) => once(socket, 'connect')))
    const oneMore = connect(Number(port), '127.0.0.1').on('error', () => {})
    await once(oneMore, 'close')
    const elsewhere = get(metricsUrl, { localAddress: '127.0.0.2', agent: false })
    const [answer] = await once(elsewhere, 'response')
    expect(answer.resume().statusCode).toBe(200)
    expect((await world.http('GET', '/health')).status).toBe(200)
    expect(idle.filter(({ destroyed }) => destroyed)).toEqual([])
    for (const socket of idle) socket.destroy()
    await eventually(async () => expect((await fetch(metricsUrl)).status).toBe(200))
  })

  it('takes another port when the usual one is taken and nobody chose', async () => {
    await using first = await startWorld({ config: { metrics: undefined } })
    await using second = await startWorld({ config: { metrics: undefined } })
    expect(second.server.metricsUrl).not.toBe(first.server.metricsUrl)
    expect((await fetch(second.server.metricsUrl ?? '')).status).toBe(200)
  })

  it('may be on the main port, or nowhere', async () => {
    await using shared = await startWorld({ config: { metrics: 'shared' } })
    expect(shared.server.metricsUrl).toBeUndefined()
    expect((await shared.http('GET', '/metrics')).status).toBe(200)
    await using off = await startWorld({ config: { metrics: 'off' } })
    expect((await off.http('GET', '/metrics')).status).toBe(404)
  })
})

describe('the start', () => {
  it.each([
    ['every address, without a public URL', {}, true],
    ['loopback', { host: '127.0.0.1' }, false],
    ['every address, with a public URL', { publicUrl: 'https://belfry.example' }, false],
  ])('on %s warns of tokens of other servers: %#', async (_, given, isWarned) => {
    const warnings: string[] = []
    const told = (_fields: Record<string, unknown>, sentence: string) => void warnings.push(sentence)
    const log = { debug: () => {}, info: () => {}, warn: told, error: told }
    await using _world = await startWorld({ log, config: { host: undefined, ...given } })
    expect(warnings.some((line) => line.startsWith('BELFRY_PUBLIC_URL is not set'))).toBe(isWarned)
  })
})

describe('rooms', () => {
  it('can be switched off', async () => {
    await using relay = await startWorld({ rooms: ['relay'] })
    expect(relay.server.project).toBeUndefined()
    expect((await relay.http('GET', '/identity?publicKey=x')).status).toBe(404)
    expect((await relay.http('GET', '/.well-known/did.json')).status).toBe(404)
    expect((await relay.http('POST', '/rpc', { body: {} })).status).toBe(401)
    expect((await relay.http('GET', '/ready')).body).toEqual({
      ready: true,
      checks: { store: 'ok', process: 'ok' },
    })
    expect(await added(relay, { domain: 'a.example' })).toMatchObject({
      status: 503,
      body: { code: 'unavailable' },
    })
  })

  it('of one process need no socket between them', async () => {
    const ports: (number | undefined)[] = []
    const accepted = (message: unknown) => void ports.push((message as { socket: Socket }).socket.localPort)
    subscribe('net.server.socket', accepted)
    await using world = await startWorld()
    unsubscribe('net.server.socket', accepted)
    const text = await world.metrics.text()
    expect(text).toContain('belfry_relay_client_connects_total 1')
    expect(text).toContain('belfry_relay_connections 1')
    expect(ports).not.toContain(world.server.port)
  })

  it('work over a relay of another process', async () => {
    await using relay = await startWorld({ rooms: ['relay'] })
    await using notify = await startWorld({ rooms: ['notify', 'keys'], config: { relayUrl: relay.wsUrl } })
    expect((await notify.http('POST', '/rpc', { body: {} })).status).toBe(404)
    expect((await notify.http('GET', '/ready')).status).toBe(200)
    expect((await notify.addApp('a.example')).domain).toBe('a.example')
    expect(await relay.metrics.text()).toContain('belfry_relay_connections 1')
  })
})

describe('the relay lets in', () => {
  /** What the upgrade is answered. */
  const statusFor = async (world: World, query: string) => {
    const socket = new WebSocket(`${world.wsUrl}/?${query}`)
    socket.on('error', () => {})
    const refused = once(socket, 'unexpected-response').then(([request, response]) => {
      request.destroy()
      return response.statusCode
    })
    const status = await Promise.race([refused, once(socket, 'open').then(() => 101)])
    socket.terminate()
    return status
  }

  it.each(['socket', 'webhook'] as const)(
    'only known project ids, when they are listed; the notify server is let in: %s',
    async (notifyIngress) => {
      await using world = await startWorld({ config: { projectIds: ['p1', 'p2'], notifyIngress } })
      const auth = relayToken(world.wsUrl)
      expect(await statusFor(world, `auth=${auth}&projectId=p2`)).toBe(101)
      expect(await statusFor(world, `auth=${auth}&projectId=p3`)).toBe(403)
      expect(await statusFor(world, `auth=${auth}`)).toBe(403)
      expect((await world.http('GET', '/ready')).status).toBe(200)
    },
  )

  it('tokens for any audience, while nobody said how clients reach us', async () => {
    await using world = await startWorld()
    expect(await statusFor(world, `auth=${relayToken('wss://relay.walletconnect.com')}`)).toBe(101)
    expect(await statusFor(world, '')).toBe(401)
  })

  it('tokens for our own names, when a public URL is set', async () => {
    await using world = await startWorld({
      config: { publicUrl: 'https://belfry.example.com', aliases: ['https://relay.walletconnect.com'] },
    })
    expect(world.server).toMatchObject({
      url: 'https://belfry.example.com',
      wsUrl: 'wss://belfry.example.com',
    })
    for (const audience of ['wss://belfry.example.com', 'wss://relay.walletconnect.com', world.wsUrl]) {
      expect(await statusFor(world, `auth=${relayToken(audience)}`)).toBe(101)
    }
    expect(await statusFor(world, `auth=${relayToken('wss://relay.example.com')}`)).toBe(401)
  })

  it('nobody with a token for another server; the alias that clients with a fixed host need is named once', async () => {
    const aliases: unknown[] = []
    const warn = ({ alias }: Record<string, unknown>, sentence: string) => {
      if (sentence.includes('BELFRY_ALIASES')) aliases.push(alias)
    }
    const log = { debug: () => {}, info: () => {}, warn, error: () => {} }
    await using world = await startWorld({ log, config: { publicUrl: 'https://belfry.example.com' } })
    for (const audience of [
      ...[
        'wss://relay.walletconnect.com',
        'wss://relay.walletconnect.com/',
        'https://relay.walletconnect.org',
      ],
      // With an alias that a stranger chose, the stranger could use tokens of its own clients here.
      ...['wss://relay.example.com', 'wss://relay.walletconnect.com:8443', 'not a URL'],
    ]) {
      expect(await statusFor(world, `auth=${relayToken(audience)}`)).toBe(401)
    }
    await world.http('POST', `/rpc?auth=${relayToken('wss://relay.walletconnect.org')}`, { body: {} })
    expect(aliases).toEqual(['https://relay.walletconnect.com', 'https://relay.walletconnect.org'])
    expect(await world.metrics.text()).toContain(
      'belfry_relay_refused_total{status="401",reason="jwt_wrong_audience"} 6',
    )
  })

  it('pages of other origins may read the key that signs its events', async () => {
    await using world = await startWorld()
    const answer = await fetch(`${world.url}/public-key`, { headers: { origin: 'https://app.example.com' } })
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  })
})

describe('the operator', () => {
  it('adds an app, whose secret works at once', async () => {
    await using world = await startWorld()
    const app = await world.addApp('app.example.com', { types: [NEWS] })
    expect(app).toEqual({
      projectId: world.project.id,
      secret: world.project.secret,
      domain: 'app.example.com',
      subscribeKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      authenticationKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      types: [{ id: expect.any(String), name: 'News' }],
    })
    const body = {
      notification: { type: app.types[0]?.id, title: 'Hello', body: 'x' },
      accounts: ['eip155:1:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a'],
    }
    const sent = await world.http('POST', `/${app.projectId}/notify`, { token: app.secret ?? '', body })
    expect(sent).toMatchObject({ status: 200, body: { not_found: body.accounts } })
    expect((await world.http('POST', `/${app.projectId}/notify`, { token: 'wrong', body })).status).toBe(401)
  })

  it('adds it again: same keys, same ids, new descriptions', async () => {
    await using world = await startWorld()
    const first = await world.addApp('app.example.com', { types: [NEWS] })
    expect(await world.addApp('app.example.com')).toEqual(first)
    const second = await world.addApp('app.example.com', { types: [{ name: 'Sale' }, NEWS] })
    expect(second.types).toEqual([{ id: expect.any(String), name: 'Sale' }, first.types[0]])
  })

  it('names a project, which is made and keeps its secret', async () => {
    await using world = await startWorld()
    const app = await world.addApp('app.example.com', { project: 'mine' })
    expect(app.projectId).toBe('mine')
    expect(app.secret).not.toBe(world.project.secret)
    await world.restart()
    // Also without naming it again.
    expect(await world.addApp('app.example.com')).toEqual(app)
    const { status } = await world.http('GET', '/mine/subscribers', { token: app.secret ?? '' })
    expect(status).toBe(200)
  })

  it('is told what is wrong', async () => {
    await using world = await startWorld()
    await world.addApp('app.example.com')
    expect(await added(world, { domain: 'app.example.com', project: 'other' })).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    })
    expect(await added(world, { domain: 'Not A Domain' })).toMatchObject({
      status: 422,
      body: { field: 'domain' },
    })
    expect(await added(world, { domain: 'b.example', project: 'no spaces' })).toMatchObject({ status: 422 })
    expect(
      await world.http('POST', '/admin/notify', {
        token: world.adminToken,
        body: { domain: 'none.example', notification: { type: 'x' }, accounts: ['x'] },
      }),
    ).toMatchObject({ status: 404, body: { code: 'unknown_app' } })
  })

  it('is nobody without the token', async () => {
    await using world = await startWorld()
    for (const token of ['', 'wrong', world.project.secret, `${world.adminToken}x`]) {
      expect((await added(world, { domain: 'a.example' }, token)).status).toBe(401)
      expect((await world.http('GET', '/admin/apps', { token })).status).toBe(401)
      expect((await world.http('GET', '/admin/keys', { token })).status).toBe(401)
    }
    expect((await world.http('GET', '/admin/apps')).status).toBe(401)
  })

  it('may choose the token', async () => {
    const adminToken = 'a-token-of-the-operator'
    await using world = await startWorld({ config: { adminToken } })
    expect((await world.http('GET', '/admin/apps', { token: adminToken })).status).toBe(200)
  })

  it('pages through apps', async () => {
    await using world = await startWorld()
    for (const domain of ['a.example', 'b.example', 'c.example']) await world.addApp(domain)
    const page = async (query: string) =>
      (await world.http('GET', `/admin/apps?${query}`, { token: world.adminToken })).body
    expect(await page('limit=2')).toMatchObject({
      apps: [{ domain: 'a.example' }, { domain: 'b.example' }],
      next: 'b.example',
    })
    expect(await page('limit=2&after=b.example')).toMatchObject({
      apps: [{ domain: 'c.example' }],
      next: null,
    })
    expect((await world.http('GET', '/admin/apps?limit=x', { token: world.adminToken })).status).toBe(422)
  })
})

describe('apps of the configuration', () => {
  it('are there when the server is ready, and again after a restart', async () => {
    const apps = [
      { domain: 'a.example', name: 'A', types: [{ name: 'News' }], listed: true },
      { domain: 'b.example', project: 'other', icons: { sm: 'https://b.example/i.png' } },
    ]
    await using world = await startWorld({ config: { apps } })
    const list = async () => (await world.http('GET', '/admin/apps', { token: world.adminToken })).body
    const before = await list()
    expect(before).toMatchObject({
      apps: [
        { domain: 'a.example', projectId: world.project.id, name: 'A', listed: true },
        { domain: 'b.example', projectId: 'other' },
      ],
    })
    await world.restart()
    expect(await list()).toEqual(before)
  })

  it('stop the start with a sentence each when they cannot be', async () => {
    const apps = [
      { domain: 'a.example' },
      { domain: 'Bad Domain' },
      { domain: 'a.example', project: 'other' },
      { domain: 'c.example', icons: { sm: 'data:x' } },
    ]
    const failure = await startWorld({ config: { apps } }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(StartError)
    expect(String(failure).split('\n')).toEqual([
      expect.stringContaining('The app Bad Domain cannot be declared: '),
      expect.stringContaining('The app a.example cannot be declared: This is already taken'),
      expect.stringContaining('The app c.example cannot be declared: The parameters are not valid: icons.sm'),
    ])
  })
})

describe('the same data', () => {
  it('keeps keys, project and apps over a restart', async () => {
    await using world = await startWorld()
    const before = {
      project: world.project.id,
      secret: world.project.secret,
      app: await world.addApp('app.example.com', { types: [NEWS] }),
      did: (await world.http('GET', '/.well-known/did.json')).body,
    }
    expect(world.server.project?.isNew).toBe(true)
    await world.restart()
    expect(world.server.project?.isNew).toBe(false)
    expect({
      project: world.project.id,
      secret: world.project.secret,
      app: await world.addApp('app.example.com'),
      did: (await world.http('GET', '/.well-known/did.json')).body,
    }).toEqual(before)
  })

  it('is for one server at a time', async () => {
    await using world = await startWorld()
    await expect(startWorld({ dataDir: world.dataDir })).rejects.toThrow('is used by another running process')
    expect((await world.http('GET', '/ready')).status).toBe(200)
  })

  it('belongs to one secret', async () => {
    const dataDir = newDir()
    await (await startWorld({ dataDir }))[Symbol.asyncDispose]()
    const failure = startWorld({ dataDir, config: { secret: 'another secret than before' } })
    await expect(failure).rejects.toThrow(
      'The data directory was made with another secret: give the right one in BELFRY_SECRET, or none at all.',
    )
    await (await startWorld({ dataDir }))[Symbol.asyncDispose]()
  })
})

describe('a start that fails half way', () => {
  it('leaves nothing behind: the directory and the port are free again', async () => {
    const taken = createServer()
    await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done))
    const address = taken.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const dataDir = newDir()
    const free = await freePort()
    await expect(startWorld({ dataDir, config: { port } })).rejects.toThrow(
      `The server cannot listen on 127.0.0.1, port ${port}: another program uses it.`,
    )
    // Fails late, with the main port open: the metrics cannot have theirs.
    await expect(startWorld({ dataDir, config: { port: free, metrics: port } })).rejects.toThrow(StartError)
    await new Promise((done) => taken.close(done))
    const lasting = ['secret', 'store', 'store.json']
    expect(readdirSync(dataDir).sort()).toEqual(lasting)
    await using world = await startWorld({ dataDir, config: { port: free } })
    expect(world.server.port).toBe(free)
    expect(readdirSync(dataDir).sort()).toEqual(['admin.json', 'lock', 'lock.sock', ...lasting])
  })

  it('says so when the directory is none', async () => {
    const dataDir = newDir()
    writeFileSync(join(dataDir, 'file'), '')
    await expect(startWorld({ dataDir: join(dataDir, 'file') })).rejects.toThrow(StartError)
  })
})

describe('a stop', () => {
  it('releases everything and removes what only a running server needs', async () => {
    const dataDir = newDir()
    const world = await startWorld({ dataDir })
    const { url } = world
    await world.server.stop()
    await world.server.stop()
    expect(readdirSync(dataDir).sort()).toEqual(['secret', 'store', 'store.json'])
    await expect(fetch(`${url}/health`)).rejects.toThrow()
  })

  it('closes sockets with 1001', async () => {
    const world = await startWorld()
    const codes = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const socket = new WebSocket(`${world.wsUrl}/?auth=${relayToken(world.wsUrl)}`)
        await once(socket, 'open')
        return { closed: once(socket, 'close') }
      }),
    )
    await world[Symbol.asyncDispose]()
    for (const { closed } of codes) expect((await closed)[0]).toBe(1001)
  })

  it('waits for requests that are being answered', async () => {
    const world = await startWorld()
    const answers = Array.from({ length: 20 }, (_, at) => world.addApp(`app${at}.example`))
    const all = Promise.allSettled(answers)
    await answers[0]
    await world[Symbol.asyncDispose]()
    for (const answer of await all) {
      // Whoever got in was answered; whoever came too late was not let in.
      if (answer.status === 'rejected') expect(String(answer.reason)).toContain('fetch failed')
    }
  })
})

it('does not start on half of a migration', async () => {
  const data = newDir()
  {
    await using stores = await openLmdb({ path: join(data, 'store') })
    await stores.transfer.setNote('half')
  }
  await expect(composeServer(configWith({ data, port: 0 }))).rejects.toThrow('half of a migration')
  {
    await using stores = await openLmdb({ path: join(data, 'store') })
    await stores.transfer.setNote(undefined)
  }
  await expect(composeServer(configWith({ data, port: 0 }))).rejects.toThrow('There is a store in')
  const secret = 'the secret that its other half was sealed with'
  await using server = await composeServer(configWith({ data, port: 0, metrics: 'off', secret }))
  await server.ready()
})
