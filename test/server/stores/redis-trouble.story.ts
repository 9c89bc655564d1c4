/**
 * A Redis in trouble, seen from outside: what dapps, wallets and operators are told, that what was acknowledged is kept,
 * and that all goes on by itself. Each trouble lasts longer than a call waits for Redis.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Log } from '../../../src/platform/telemetry.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { composeServer, type RunningServer } from '../../../src/server/compose.ts'
import { configWith } from '../../../src/server/config/config.ts'
import { eventually } from '../../support/eventually.ts'
import { newOwner } from '../../support/owner.ts'
import { freePort } from '../../support/process.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { type EnrolledApp, enrolled, newDevice, postNotification } from '../../support/story.ts'
import { connect, randomMessage, randomTopic } from '../../support/world/scripted-relay.ts'

/** A server in this process on a Redis of its own, and everything that ends with it. */
interface Ground extends AsyncDisposable {
  redis: RedisServer
  server: RunningServer
  running: AsyncDisposable[]
  /** Warnings and errors. */
  lines: string[]
}

const startGround = async (): Promise<Ground> => {
  const dir = mkdtempSync(join(tmpdir(), 'belfry-trouble-'))
  const redis = await startRedis({ appendonly: true, config: ['--appendfsync', 'always'] })
  const running: AsyncDisposable[] = [redis]
  const lines: string[] = []
  const told = (_: Record<string, unknown>, sentence: string) => void lines.push(sentence)
  const log: Log = { debug: () => {}, info: () => {}, warn: told, error: told }
  const config = {
    port: 0,
    host: '127.0.0.1',
    data: dir,
    redisUrl: redis.url,
    secret: 'a secret that processes share',
  }
  const server = await composeServer(configWith({ ...config, metrics: 'off' }), { log })
  running.push(server)
  await server.ready()
  return {
    ...{ redis, server, running, lines },
    async [Symbol.asyncDispose]() {
      for (const one of running.reverse()) await one[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const enrol = async ({ server }: Ground): Promise<EnrolledApp> => {
  const added = await fetch(`${server.loopbackUrl}/admin/apps`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ domain: 'app.example.com', types: [{ name: 'News' }, { name: 'More' }] }),
  })
  return enrolled.parse(await added.json())
}

/** What is asked over HTTP: two that write and two that read. */
const requestsOf = ({ server }: Ground, app: EnrolledApp, account: string) => {
  const key = generateSigningKey()
  const iat = Math.floor(Date.now() / 1000)
  const token = signJwt({ iss: key.did, sub: 'ab', aud: server.wsUrl, iat, exp: iat + 3_600 }, key)
  const json = { 'content-type': 'application/json' }
  const secret = { ...json, authorization: `Bearer ${app.secret}` }
  const url = server.loopbackUrl
  const post = (headers: Record<string, string>, body: object) =>
    ({ method: 'POST', headers, body: JSON.stringify(body) }) as const
  return {
    writes: {
      notify: () =>
        fetch(
          `${url}/${app.projectId}/notify`,
          post(secret, {
            notification: { type: app.types[0]?.id, title: 'Trouble', body: 'somebody asked' },
            accounts: [account],
          }),
        ),
      rpc: () =>
        fetch(
          `${url}/rpc?auth=${token}`,
          post(json, {
            id: 1,
            jsonrpc: '2.0',
            method: 'irn_publish',
            params: { topic: randomTopic(), message: randomMessage(), ttl: 300, tag: 1 },
          }),
        ),
    },
    reads: {
      subscribers: () => fetch(`${url}/${app.projectId}/subscribers`, { headers: secret }),
      identity: () => fetch(`${url}/identity?publicKey=${generateSigningKey().did.slice('did:key:'.length)}`),
    },
  }
}

const refusal = async (ask: () => Promise<Response>) => {
  const began = Date.now()
  const answer = await ask()
  const text = await answer.text()
  expect([answer.status, answer.headers.get('retry-after'), text]).toEqual([
    503,
    '5',
    expect.stringContaining('The service is not available right now'),
  ])
  return Date.now() - began
}
const probe = async ({ server }: Ground, path: string) => {
  const answer = await fetch(`${server.loopbackUrl}${path}`)
  return [answer.status, await answer.json()]
}

/** Two wallets' worth of work that goes on through the trouble; what was acknowledged is counted at the other end. */
const startTraffic = (
  { server, running }: Ground,
  { app, account, bodies }: { app: EnrolledApp; account: string; bodies: readonly string[] },
) => {
  const [writer, received] = [connect(server.loopbackUrl), new Set<string>()]
  const reader = connect(server.loopbackUrl, { onMessage: ({ message }) => void received.add(message) })
  running.push(writer, reader)
  const acknowledged: string[] = []
  const accepted: string[] = []
  const refused: unknown[] = []
  let isOver = false
  // Also after a failure: what goes on would publish to the next test's server.
  running.push({
    [Symbol.asyncDispose]: async () => {
      isOver = true
    },
  })
  const topic = randomTopic()
  const again = async <T>(work: () => Promise<T>, note: () => void) => {
    try {
      await work()
      note()
    } catch (error) {
      refused.push(error)
    }
  }
  const publish = async () => {
    for (let message = randomMessage(); !isOver; ) {
      await again(
        () => writer.publish({ topic, message, tag: 4002, ttl: 3_600 }),
        () => {
          acknowledged.push(message)
          message = randomMessage()
        },
      )
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const notify = async () => {
    for (let id = 0; !isOver; ) {
      const body = `notification ${id}`
      await again(
        () =>
          postNotification({ url: server.loopbackUrl }, app, { id: `t-${id}`, body, accounts: [account] }),
        () => {
          accepted.push(body)
          id++
        },
      )
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  const started = reader.subscribe([topic])
  const work = started.then(() => Promise.all([publish(), publish(), publish(), notify()]))
  return {
    acknowledged,
    accepted,
    refused,
    async grows() {
      const before = [acknowledged.length, accepted.length] as const
      await eventually(() => {
        expect(acknowledged.length).toBeGreaterThan(before[0] + 10)
        expect(accepted.length).toBeGreaterThan(before[1] + 3)
      }, 40_000)
    },
    async end() {
      isOver = true
      await work
      await eventually(() => {
        expect(acknowledged.filter((message) => !received.has(message))).toEqual([])
        expect(accepted.filter((body) => !bodies.includes(body))).toEqual([])
      }, 45_000)
    },
  }
}

const settle = async (ground: Ground) => {
  const { server, running } = ground
  const app = await enrol(ground)
  const owner = newOwner()
  const device = newDevice(
    { url: server.loopbackUrl, wsUrl: server.loopbackUrl.replace('http', 'ws') },
    owner,
  )
  running.push(device)
  const bodies: string[] = []
  device.on('message', ({ notification }) => void bodies.push(notification.body))
  await device.watch()
  await device.subscribe('app.example.com', [app.types[0]?.id ?? ''])
  return { app, account: owner.account, bodies }
}

interface Trouble {
  name: string
  begin(redis: RedisServer): Promise<void>
  end(redis: RedisServer): Promise<void>
  /** Redis still reads. */
  reads: boolean
}
const troubles: Trouble[] = [
  {
    name: 'is gone',
    begin: (redis) => redis.stop(),
    end: (redis) => redis.restart(),
    reads: false,
  },
  {
    name: 'hangs',
    begin: async (redis) => void process.kill(redis.pid, 'SIGSTOP'),
    end: async (redis) => void process.kill(redis.pid, 'SIGCONT'),
    reads: false,
  },
  {
    name: 'is full',
    begin: async (redis) => void (await redis.cli('config', 'set', 'maxmemory', '1')),
    end: async (redis) => void (await redis.cli('config', 'set', 'maxmemory', '0')),
    reads: true,
  },
  {
    name: 'is the replica of a master that is dead',
    begin: async (redis) => void (await redis.cli('replicaof', '127.0.0.1', `${await freePort()}`)),
    end: async (redis) => void (await redis.cli('replicaof', 'no', 'one')),
    reads: true,
  },
]

// Most of their time they wait, for what gives up after 10 s.
describe.concurrent('while Redis', () => {
  for (const trouble of troubles) {
    it(`${trouble.name}: callers are told, operators are told, nothing acknowledged is lost, all goes on`, async () => {
      await using ground = await startGround()
      const { redis, lines } = ground
      const { app, account, bodies } = await settle(ground)
      const { writes, reads } = requestsOf(ground, app, account)
      for (const ask of Object.values({ ...writes, subscribers: reads.subscribers })) {
        expect((await ask()).status).toBe(200)
      }
      expect((await reads.identity()).status).toBe(404)
      const traffic = startTraffic(ground, { app, account, bodies })
      await traffic.grows()

      await trouble.begin(redis)
      const told = lines.length
      const refusals = trouble.reads ? Object.values(writes) : Object.values({ ...writes, ...reads })
      const took = await Promise.all(refusals.map(refusal))
      expect(Math.max(...took)).toBeLessThan(25_000)
      expect((await probe(ground, '/health'))[0]).toBe(200)
      const [status, ready] = await probe(ground, '/ready')
      expect([status, ready]).toMatchObject([503, { ready: false, checks: { store: 'failed' } }])
      if (trouble.reads) expect((await reads.subscribers()).status).toBe(200)
      // A crowd that does not wait.
      const crowd = await Promise.all(Array.from({ length: 200 }, () => writes.rpc().then((r) => r.status)))
      expect(new Set(crowd)).toEqual(new Set([503]))
      const acknowledged = traffic.acknowledged.length
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      expect(traffic.acknowledged.length).toBe(acknowledged)
      // Operators see it, and not once for each who met it.
      expect(lines.length - told).toBeLessThan(60)
      await eventually(() => expect(lines.slice(told)).toContain('A relay request could not be served now'))

      await trouble.end(redis)
      await eventually(async () => expect((await probe(ground, '/ready'))[0]).toBe(200), 20_000)
      await traffic.grows()
      await traffic.end()
    }, 180_000)
  }

  it('is slow, everything is late and nothing fails', async () => {
    await using ground = await startGround()
    const { redis } = ground
    const { app, account, bodies } = await settle(ground)
    const { writes, reads } = requestsOf(ground, app, account)
    const traffic = startTraffic(ground, { app, account, bodies })
    await traffic.grows()
    const began = Date.now()
    await redis.cli('client', 'pause', '2000', 'all')
    const statuses = await Promise.all(
      Object.values({ ...writes, subscribers: reads.subscribers }).map(async (ask) => (await ask()).status),
    )
    expect(statuses).toEqual([200, 200, 200])
    expect(Date.now() - began).toBeGreaterThan(1_999)
    await traffic.grows()
    await traffic.end()
    expect(traffic.refused).toEqual([])
    // The others compute beside it, in the same process.
  }, 180_000)
})
