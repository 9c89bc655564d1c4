/** `belfry doctor`, on settings, machines and servers with and without something wrong. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SETTING_NAMES } from '../../src/server/config/settings.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { startWorld, type World } from '../support/world.ts'
import { runBelfry } from './belfry.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-doctor-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const belfry = (words: string[], env: NodeJS.ProcessEnv = {}) => runBelfry(words, { cwd: dir, env })

/** Ports that nobody has, so that other servers of this machine do not matter. */
const QUIET = { PORT: '0', BELFRY_METRICS: 'off' }

interface Finding {
  about: string
  state: string
  says: string
}

/** What was found, as lines of `state about: sentence`; the exit code fits to it. */
const findings = async (env: NodeJS.ProcessEnv, ...words: string[]): Promise<string[]> => {
  const { code, stdout, stderr } = await belfry(['doctor', '--json', ...words], { ...QUIET, ...env })
  const answer: { isWell: boolean; findings: Finding[] } = JSON.parse(stdout)
  const wrong = answer.findings.filter(({ state }) => state === 'failed').length
  const doubtful = answer.findings.filter(({ state }) => state === 'warning').length
  expect({ code, isWell: answer.isWell, stderr }).toEqual({
    code: wrong > 0 ? 1 : 0,
    isWell: wrong === 0,
    stderr: wrong > 0 ? `${wrong} to put right, ${doubtful} to look at.\n` : '',
  })
  return answer.findings.map(({ state, about, says }) => `${state} ${about}: ${says}`)
}

/** A server of somebody else, at an address that counts as one of the network. */
const somebody = async (answer: (path: string) => { status: number; headers?: Record<string, string> }) => {
  const server: Server = createServer((request, response) => {
    const { status, headers = {} } = answer(request.url ?? '')
    response.writeHead(status, headers).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  return {
    port,
    url: `http://0.0.0.0:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('settings', () => {
  it('are shown one by one, with where each comes from, and no secret', async () => {
    const env = { PORT: '7000', BELFRY_SECRET: 'a secret of some length' }
    const words = ['doctor', '--settings', '--rooms', 'relay,keys', '--metrics', '[::]:9464']
    const { code, stdout } = await belfry(words, env)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^metrics +\[::\]:9464 {2}\(--metrics\)$/m)
    expect(stdout).toMatch(/^port +7000 {2}\(PORT\)$/m)
    expect(stdout).toMatch(/^rooms +relay,keys {2}\(--rooms\)$/m)
    expect(stdout).toMatch(/^secret +\(set\) {2}\(BELFRY_SECRET\)$/m)
    expect(stdout).toMatch(/^logLevel +info {2}\(default\)$/m)
    expect(stdout).not.toContain('a secret of')
    const { stdout: text } = await belfry(['doctor', '--settings', '--json'], env)
    expect(JSON.parse(text).settings).toHaveLength(SETTING_NAMES.length)
  })

  it('that make no sense are a sentence each', async () => {
    const sentences = [
      '--port must be a whole number from 0 to 65535, not "x".',
      'BELFRY_METRICS must be a port, an address with a port, off, or shared, not "y".',
    ]
    expect(await findings({ BELFRY_METRICS: 'y' }, '--port', 'x')).toEqual([
      ...sentences.map((sentence) => `failed settings: ${sentence}`),
      'ok names: Every BELFRY_ variable of the environment is a setting.',
    ])
    expect(await belfry(['doctor', '--settings', '--port', 'x'], { BELFRY_METRICS: 'y' })).toEqual({
      ...{ code: 1, stdout: '', stderr: `${sentences.join('\n')}\n` },
    })
  })

  it('that are mistyped are named, with the one that was meant', async () => {
    const env = { BELFRY_PULBIC_URL: 'x', BELFRY_COLOUR: 'x', belfry_secret: 'x', BELFRY_SERVER: '' }
    const found = (await findings(env)).filter((line) => line.includes(' names: '))
    expect(found).toEqual([
      'warning names: BELFRY_PULBIC_URL is set, and there is no such setting: did you mean BELFRY_PUBLIC_URL?',
      expect.stringMatching(/^warning names: BELFRY_COLOUR is set, and there is no such setting: remove it/),
      expect.stringMatching(/^warning names: belfry_secret is set/),
    ])
  })
})

describe('this machine', () => {
  it('is looked at and not touched', async () => {
    const found = await findings({})
    expect(found.filter((line) => /^(?:failed|warning)/.test(line))).toEqual([
      expect.stringContaining('warning public URL: BELFRY_PUBLIC_URL is not set'),
    ])
    expect(found).toContain('ok store: There is none yet: the first start makes one.')
    expect(existsSync(join(dir, 'belfry-data'))).toBe(false)
    expect(await findings({ BELFRY_HOST: '127.0.0.1' })).toContain(
      'ok public URL: Only this machine reaches the server.',
    )
  })

  it('for people is said in lines', async () => {
    const { code, stdout } = await belfry(['doctor'], QUIET)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ok {7}settings: They make sense\.$/m)
    expect(stdout).toMatch(/^warning {2}public URL: /m)
  })

  it('with a secret that others may read, that is none, or that is gone', async () => {
    const data = join(dir, 'data')
    mkdirSync(data)
    const secret = join(data, 'secret')
    const ofSecret = async (env = {}) =>
      (await findings({ BELFRY_DATA: data, ...env })).filter((line) => line.includes(' secret: '))
    writeFileSync(secret, 'a secret of some length')
    chmodSync(secret, 0o644)
    expect(await ofSecret()).toEqual([`warning secret: Other users may read ${secret}: chmod 600 it.`])
    chmodSync(secret, 0o600)
    expect(await ofSecret()).toEqual([`ok secret: It is in ${secret}.`])
    writeFileSync(join(data, 'secret.previous'), 'another secret of some length')
    expect((await ofSecret()).at(-1)).toContain('warning secret: The former secret is still needed')
    writeFileSync(secret, 'short')
    expect((await ofSecret())[0]).toContain('does not hold a secret (5 characters)')
    rmSync(secret)
    mkdirSync(join(data, 'store'))
    writeFileSync(join(data, 'store/data.mdb'), '')
    expect((await ofSecret())[0]).toContain(`failed secret: There is a store in ${data} and no secret`)
    expect(await ofSecret({ BELFRY_SECRET: 'a secret of some length' })).toContain(
      'ok secret: BELFRY_SECRET is set.',
    )
  })

  it('with another secret than the store was first used with', async () => {
    const [data, secret] = [join(dir, 'sealed'), 'the secret of this store, long']
    const server = await startServerProcess(data, { env: { BELFRY_SECRET: secret } })
    await server.end('SIGTERM')
    const ofSecret = async (env: NodeJS.ProcessEnv) =>
      (await findings({ BELFRY_DATA: data, ...env })).filter((line) => line.includes(' secret: '))
    expect(await ofSecret({ BELFRY_SECRET: secret })).toEqual(['ok secret: BELFRY_SECRET is set.'])
    expect(await ofSecret({ BELFRY_SECRET: 'another secret, as long as it' })).toContain(
      `failed secret: The store of ${data} was first used with another secret, so no server starts: put that one into BELFRY_SECRET.`,
    )
    const changing = { BELFRY_SECRET: 'another secret, as long as it', BELFRY_SECRET_PREVIOUS: secret }
    expect((await ofSecret(changing)).some((line) => line.startsWith('failed'))).toBe(false)
  })

  it('with a data directory that is a file, and a disk that is too full', async () => {
    const file = join(dir, 'file')
    writeFileSync(file, '')
    chmodSync(file, 0o755)
    expect(await findings({ BELFRY_DATA: file })).toContain(
      `failed data: ${file} is a file: name a directory in BELFRY_DATA.`,
    )
    const found = await findings({ BELFRY_DISK_RESERVE: '999999999' })
    expect(found).toContainEqual(
      expect.stringMatching(/^failed disk: .* make room, or lower BELFRY_DISK_RESERVE\.$/),
    )
  })

  it('with ports that others have', async () => {
    await using other = await somebody(() => ({ status: 200 }))
    const port = String(other.port)
    expect(await findings({ PORT: port })).toContain(
      `failed ports: The server cannot listen on port ${port}: another program uses it.`,
    )
    expect(await findings({ BELFRY_METRICS: `0.0.0.0:${port}` })).toContainEqual(
      expect.stringMatching(/^failed ports: .*another program uses it\.$/),
    )
  })
})

describe('what is around', () => {
  it('a public URL that leads nowhere, to another server, or to one with another time', async () => {
    const early = new Date(Date.now() - 600_000).toUTCString()
    await using other = await somebody((path) => ({
      status: path === '/health' ? 404 : 200,
      headers: { date: early },
    }))
    const found = await findings({ BELFRY_PUBLIC_URL: other.url })
    expect(found).toContain(
      `failed public URL: ${other.url}/health answers 404: check where the name or its proxy leads.`,
    )
    expect(found).toContainEqual(expect.stringContaining(`warning public URL: ${other.url} is not encrypted`))
    expect(found).toContainEqual(
      expect.stringMatching(/^failed clock: .* differ by \d{3} s: run a time service/),
    )
    const nobody = `https://127.0.0.1:${await freePort()}`
    expect(await findings({ BELFRY_PUBLIC_URL: nobody })).toContain(
      `skipped public URL: ${nobody} is not reached from here (ECONNREFUSED); no server runs.`,
    )
  })

  it('a certificate that nobody trusts', async () => {
    const [key, cert] = ['key', 'cert'].map((name) => readFileSync(`test/support/tls/${name}.pem`))
    const server = createTlsServer({ key, cert }, (_, response) => response.end('{}'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const url = `https://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
    try {
      const found = await findings({ BELFRY_PUBLIC_URL: url })
      expect(found).toContain(
        `skipped public URL: ${url} is not reached from here (DEPTH_ZERO_SELF_SIGNED_CERT); no server runs.`,
      )
      expect(found).toContainEqual(
        expect.stringMatching(/^ok tls: The certificate of 127\S+ is good until 2126-/),
      )
    } finally {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  it('another relay that does not answer', async () => {
    const env = { BELFRY_ROOMS: 'notify,keys', BELFRY_RELAY_URL: 'ws://127.0.0.1:9' }
    expect(await findings(env)).toContainEqual(
      expect.stringContaining(
        'failed relay: The relay at ws://127.0.0.1:9 does not answer: check BELFRY_RELAY_URL',
      ),
    )
  }, 60_000)
})

describe('a running server', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({ config: { allowPrivateAddresses: allowed } })
  })
  afterAll(() => world[Symbol.asyncDispose]())

  const allowed = { keys: [], webhooks: ['127.0.0.1'], did: [], push: [] }
  const ofWorld = (env: NodeJS.ProcessEnv = {}) => findings({ BELFRY_DATA: world.dataDir, ...env })

  it('is asked what it is like, and what its apps and webhooks are', async () => {
    await using receiver = await somebody(() => ({ status: 410 }))
    await world.addApp('doctored.test')
    const { id, secret } = world.project
    const registered = await world.http('POST', `/${id}/register-webhook`, {
      token: secret,
      body: { url: `http://127.0.0.1:${receiver.port}/hook?key=hidden`, events: ['subscribed'] },
    })
    expect(registered.status).toBeLessThan(300)
    const found = await ofWorld({ BELFRY_PUBLIC_URL: world.url })
    expect(found).toContain(`ok public URL: ${world.url} is reached from here.`)
    expect(found).toContainEqual(
      expect.stringMatching(/^ok server: The server at \S+ is ready: store, relay, process\.$/),
    )
    expect(found).toContainEqual(
      expect.stringMatching(
        /^warning did\.json of doctored\.test: https:\/\/doctored\.test\S+ has no keys.*: publish http:\S+\/apps\/doctored\.test\/did\.json there\.$/,
      ),
    )
    expect(found).toContainEqual(
      expect.stringMatching(/^(?:warning|failed) webhook \S+: http:\/\/127\.0\.0\.1:\d+\/hook of project /),
    )
    expect(found.join()).not.toContain('hidden')
    expect(found).toContain('skipped ports: The running server has them.')
  }, 60_000)

  it('that another address leads to is told apart', async () => {
    await using other = await startWorld()
    expect(await ofWorld({ BELFRY_PUBLIC_URL: other.url })).toContain(
      `failed public URL: Another server answers at ${other.url}: check where the name or its proxy leads.`,
    )
  }, 60_000)

  it('that is named and does not answer, or with another token, is said to', async () => {
    const away = await findings({}, '--server', 'http://127.0.0.1:9', '--token', 'x')
    expect(away).toContain('failed server: No server answers at http://127.0.0.1:9.')
    const wrong = await findings({}, '--server', world.url, '--token', 'wrong')
    expect(wrong).toContain('failed did.json: Authentication is missing or wrong: the admin token')
  }, 60_000)

  it('lets its relay be looked at by others', async () => {
    const env = { BELFRY_ROOMS: 'notify,keys', BELFRY_RELAY_URL: world.url }
    expect(await findings(env)).toContain(`ok relay: The relay at ${world.url} lets clients in.`)
  }, 60_000)
})

describe('a Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis[Symbol.asyncDispose]())

  const ofRedis = async (url: string) =>
    (await findings({ REDIS_URL: url, BELFRY_SECRET: 'a secret of some length' })).filter((line) =>
      / (?:redis|clock): /.test(line),
    )

  it('is asked for its version, its mode, its policy and its time', async () => {
    await redis.cli('config', 'set', 'maxmemory-policy', 'noeviction')
    const place = `127.0.0.1:${redis.port}`
    const url = `redis://${place}`
    const good = await ofRedis(url)
    expect(good[0]).toMatch(
      new RegExp(
        `^ok redis: Redis \\d+\\.\\d+\\S* at ${place}, a single one, maxmemory-policy noeviction\\.$`,
      ),
    )
    expect(good.at(-1)).toMatch(/^ok clock: The clock of this machine and that of Redis differ by 0\.\d s\.$/)
    await redis.cli('config', 'set', 'maxmemory-policy', 'allkeys-lru')
    expect(await ofRedis(url)).toContainEqual(
      expect.stringContaining('warning redis: Redis may drop messages when it is full (allkeys-lru)'),
    )
    expect(await ofRedis(`redis+cluster://${place}`)).toEqual([
      `failed redis: Redis at ${place} is not a cluster: write redis:// in REDIS_URL.`,
    ])
    expect(await ofRedis('redis://127.0.0.1:9')).toEqual([
      'failed redis: No Redis answers at 127.0.0.1:9: start it, or put the right address into REDIS_URL.',
    ])
  }, 60_000)

  it('is looked at for what it was first used with, and not touched', async () => {
    await redis.cli('flushall')
    const env = {
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      BELFRY_SECRET: 'the secret of this Redis, long',
    }
    await findings(env)
    // Whether it takes writes is tried with a key that lasts a second.
    const kept = (await redis.cli('keys', '*')).split('\n').filter((key) => !/^(belfry:\{ping\})?$/.test(key))
    expect(kept).toEqual([])
    const server = await startServerProcess(join(dir, 'data'), { env })
    await server.end('SIGTERM')
    expect(await findings({ ...env, BELFRY_SECRET: 'another secret, as long as it' })).toContain(
      'failed secret: The Redis of REDIS_URL was first used with another secret, so no server starts: put that one into BELFRY_SECRET.',
    )
    expect((await findings(env)).some((line) => line.startsWith('failed'))).toBe(false)
  })
})
