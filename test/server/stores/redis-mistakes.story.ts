/**
 * A Redis that is configured wrongly: the start ends with one sentence that says what to do, instead of waiting for a
 * Redis that is there; a running server says the same words in its log.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createReleaseStack, type ReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import type { Log } from '../../../src/platform/telemetry.ts'
import { composeServer } from '../../../src/server/compose.ts'
import { configWith } from '../../../src/server/config/config.ts'
import { StartError } from '../../../src/server/config/start-error.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'

let owned: ReleaseStack
let dir: string
/** What the log says. */
let lines: string[]
beforeEach(() => {
  owned = createReleaseStack()
  dir = mkdtempSync(join(tmpdir(), 'belfry-mistakes-'))
  owned.defer(() => rmSync(dir, { recursive: true, force: true }))
  lines = []
})
afterEach(() => owned[Symbol.asyncDispose](), 60_000)

const told = (_: Record<string, unknown>, sentence: string) => void lines.push(sentence)
const log: Log = { debug: () => {}, info: told, warn: told, error: told }

const start = async (redisUrl: string) => {
  const config = configWith({
    ...{ port: 0, host: '127.0.0.1', metrics: 'off', data: dir, redisUrl },
    ...{ secret: 'a secret that processes share', rooms: ['relay'] },
  })
  return owned.use(await composeServer(config, { log }))
}

/** The sentences with which the start ends. */
const sentencesOf = async (redisUrl: string): Promise<readonly string[]> => {
  const failure = await start(redisUrl).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(failure instanceof StartError)) throw new Error(`The start ended with ${failure}`)
  return failure.sentences
}

const redisWith = async (...config: string[]) => owned.use(await startRedis({ config }))

const tlsRedis = async () => {
  const port = await freePort()
  const files = ['cert', 'key'].map((name) => resolve(`test/support/tls/${name}.pem`))
  const [cert = '', key = ''] = files
  await redisWith(
    ...['--tls-port', `${port}`, '--tls-cert-file', cert, '--tls-key-file', key],
    ...['--tls-ca-cert-file', cert, '--tls-auth-clients', 'no'],
  )
  return port
}

describe('the start ends with a sentence', () => {
  it('when the password is wrong, or missing', async () => {
    const { port, cli } = await redisWith()
    await cli('config', 'set', 'requirepass', 'right')
    expect(await sentencesOf(`redis://:wrong@127.0.0.1:${port}`)).toEqual([
      `Redis at 127.0.0.1:${port} refuses the password (WRONGPASS): put the right user and password into REDIS_URL.`,
    ])
    expect(await sentencesOf(`redis://127.0.0.1:${port}`)).toEqual([
      `Redis at 127.0.0.1:${port} wants a password (NOAUTH): write redis://user:password@host:port in REDIS_URL.`,
    ])
    await start(`redis://:right@127.0.0.1:${port}`)
  })

  it('when what answers is no Redis', async () => {
    const server = createServer((_, response) => void response.end('a web page'))
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    owned.defer(() => void server.close())
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    expect(await sentencesOf(`redis://127.0.0.1:${port}`)).toEqual([
      `What answers at 127.0.0.1:${port} is not a Redis: check host and port in REDIS_URL.`,
    ])
  })

  it('when one side wants TLS and the other does not, or the certificate is not trusted', async () => {
    const { port: plain } = await redisWith()
    expect(await sentencesOf(`rediss://127.0.0.1:${plain}`)).toEqual([
      `Redis at 127.0.0.1:${plain} does not speak TLS: write redis:// in REDIS_URL.`,
    ])
    const port = await tlsRedis()
    expect(await sentencesOf(`redis://127.0.0.1:${port}`)).toEqual([
      `Redis at 127.0.0.1:${port} wants TLS: write rediss:// in REDIS_URL.`,
    ])
    expect(await sentencesOf(`rediss://127.0.0.1:${port}`)).toEqual([
      expect.stringMatching(/^The certificate of Redis at 127\.0\.0\.1:\d+ is not trusted \(\w+\): /),
    ])
  })

  it('when the user may not write', async () => {
    const { port, cli } = await redisWith()
    await cli('acl', 'setuser', 'reader', 'on', '>right', '~*', '&*', '+@read', '+info', '+ping')
    expect(await sentencesOf(`redis://reader:right@127.0.0.1:${port}`)).toEqual([
      `The user of Redis at 127.0.0.1:${port} may not do what is needed (NOPERM): allow it all commands, its keys and channels.`,
    ])
  })

  it('when it is a read-only replica', async () => {
    const master = await redisWith()
    const { port, cli } = await redisWith('--replicaof', `127.0.0.1 ${master.port}`)
    await eventually(async () => expect(await cli('info', 'replication')).toContain('master_link_status:up'))
    expect(await sentencesOf(`redis://127.0.0.1:${port}`)).toEqual([
      `Redis at 127.0.0.1:${port} is a read-only replica: name its master in REDIS_URL.`,
    ])
  })

  it('when a cluster is named as a single one, or a single one as a cluster', async () => {
    const single = await redisWith()
    expect(await sentencesOf(`redis+cluster://127.0.0.1:${single.port}`)).toEqual([
      `Redis at 127.0.0.1:${single.port} is not a cluster: write redis:// in REDIS_URL.`,
    ])
    const { port } = await redisWith('--cluster-enabled', 'yes')
    expect(await sentencesOf(`redis://127.0.0.1:${port}`)).toEqual([
      `Redis at 127.0.0.1:${port} is a node of a cluster: write redis+cluster:// in REDIS_URL.`,
    ])
  })
})

describe('a running server', () => {
  it('says in its log why Redis does not take it back', async () => {
    const redis = await redisWith()
    await start(`redis://127.0.0.1:${redis.port}`)
    await redis.cli('config', 'set', 'requirepass', 'new')
    await redis.cli('-a', 'new', 'client', 'kill', 'type', 'normal')
    await eventually(() =>
      expect(lines).toContainEqual(expect.stringMatching(/^Redis at .* wants a password \(NOAUTH\): /)),
    )
  })

  it('warns once of a Redis that may lose what it was given', async () => {
    const redis = await redisWith('--maxmemory-policy', 'allkeys-lru')
    const server = await start(`redis://127.0.0.1:${redis.port}`)
    const warnings = [
      'Redis keeps nothing of the last minutes when it crashes: set appendonly yes.',
      'Redis may drop messages when it is full (allkeys-lru): set maxmemory-policy noeviction.',
      'Redis has no memory limit, so the system may end it when memory runs out: set maxmemory.',
    ]
    const warned = () => lines.filter((line) => warnings.includes(line)).sort()
    await eventually(() => expect(warned()).toEqual([...warnings].sort()))
    await redis.restart()
    // What it says of itself comes before what it is asked after that.
    for (const _ of [1, 2, 3]) {
      await eventually(async () => expect((await fetch(`${server.loopbackUrl}/ready`)).status).toBe(200))
    }
    expect(warned()).toEqual([...warnings].sort())
  })

  it('says that it could not check where INFO is not allowed', async () => {
    const { port, cli } = await redisWith()
    await cli('acl', 'setuser', 'worker', 'on', '>right', '~*', '&*', '+@all', '-info')
    await start(`redis://worker:right@127.0.0.1:${port}`)
    await eventually(() =>
      expect(lines).toContain(
        'Redis does not answer INFO, so appendonly and maxmemory-policy could not be checked: set appendonly yes and maxmemory-policy noeviction.',
      ),
    )
  })
})
