/** The files of `deploy/`, before their own programs: each checks its configuration, and reaches a running server with it. */
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:https'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { parse } from 'yaml'
import * as z from 'zod'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { METRICS } from '../../src/server/telemetry/metrics.ts'
import { findOrInstall, INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/process.ts'
import { startWorld } from '../support/world.ts'

const run = promisify(execFile)
const SLOW = INSTALL_TIMEOUT + 60_000
const CERTIFICATE = resolve('test/support/tls/local-cert.pem')
const KEY = resolve('test/support/tls/local-key.pem')

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'belfry-deploy-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** The same file under `dir`, changed where it names places of a real machine. */
const copied = async (file: string, changes: [string, string][]): Promise<string> => {
  let text = await readFile(`deploy/${file}`, 'utf8')
  for (const [from, to] of changes) {
    expect(text).toContain(from)
    text = text.replaceAll(from, to)
  }
  const path = join(dir, file.replaceAll('/', '-'))
  await writeFile(path, text)
  return path
}

/** A program that runs until it is disposed of. */
const running = (program: string, args: string[], env: Record<string, string> = {}) => {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env, HOME: dir },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  return {
    output: () => output,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return
      const ended = new Promise((done) => child.once('exit', done))
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Certificates of the proxies are their own; who reaches them is what is looked at. */
const agent = new Agent({ rejectUnauthorized: false })
const statusOf = (port: number, path: string) =>
  new Promise<number | undefined>((done, reject) => {
    get({ host: 'localhost', port, path, agent }, (answer) => {
      answer.resume()
      done(answer.statusCode)
    }).on('error', reject)
  })
/** Through the proxy to the relay and back. */
const relayAnswers = (port: number) =>
  new Promise<unknown>((done, reject) => {
    const key = generateSigningKey()
    const iat = Math.floor(Date.now() / 1000)
    const token = signJwt(
      { iss: key.did, sub: 'ab'.repeat(32), aud: `wss://localhost:${port}`, iat, exp: iat + 600 },
      key,
    )
    const socket = new WebSocket(`wss://localhost:${port}/?auth=${token}`, { rejectUnauthorized: false })
    socket.on('error', reject)
    socket.on('open', () =>
      socket.send(
        JSON.stringify({
          id: 1,
          jsonrpc: '2.0',
          method: 'irn_subscribe',
          params: { topic: 'ab'.repeat(32) },
        }),
      ),
    )
    socket.on('message', (data) => {
      done(JSON.parse(String(data)))
      socket.terminate()
    })
  })

const SUBSCRIBED = { id: 1, jsonrpc: '2.0', result: expect.any(String) }

describe('TLS in front', () => {
  it('by Caddy: its configuration is valid, and wallets come through', { timeout: SLOW }, async () => {
    const caddy = await findOrInstall({ variable: 'CADDY', names: ['caddy'], package: 'caddy' })
    await run(caddy, ['validate', '--adapter', 'caddyfile', '--config', 'deploy/Caddyfile'])
    const port = await freePort()
    await using world = await startWorld()
    // A certificate of Caddy's own, no port of the system, and no door for other programs.
    const file = await copied('Caddyfile', [
      [
        '{$BELFRY_DOMAIN:localhost} {',
        `{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\nhttps://localhost:${port} {\n\ttls internal`,
      ],
    ])
    await using proxy = running(caddy, ['run', '--adapter', 'caddyfile', '--config', file], {
      BELFRY_PORT: String(world.server.port),
      XDG_DATA_HOME: dir,
    })
    await eventually(async () => expect(await statusOf(port, '/ready'), proxy.output()).toBe(200))
    expect(await relayAnswers(port)).toEqual(SUBSCRIBED)
  })

  it('by nginx: its configuration is valid, wallets come through, and no token is in its log', {
    timeout: SLOW,
  }, async () => {
    const nginx = await findOrInstall({
      variable: 'NGINX',
      names: ['nginx', '/usr/sbin/nginx'],
      package: 'nginx-light',
    })
    const [tls, plain] = [await freePort(), await freePort()]
    await using world = await startWorld()
    const file = await copied('nginx-tls.conf', [
      ['/etc/letsencrypt/live/belfry.example.com/fullchain.pem', CERTIFICATE],
      ['/etc/letsencrypt/live/belfry.example.com/privkey.pem', KEY],
      ['listen 443 ssl', `listen 127.0.0.1:${tls} ssl`],
      ['listen 80', `listen 127.0.0.1:${plain}`],
      ['127.0.0.1:8080', `127.0.0.1:${world.server.port}`],
      ['events {', `pid ${join(dir, 'nginx.pid')};\ndaemon off;\nevents {`],
      // Pipes of a test cannot be opened by a name.
      ['/dev/stderr', join(dir, 'nginx.errors')],
      ['/dev/stdout', join(dir, 'nginx.log')],
      ['http {', `http {\n  client_body_temp_path ${dir};\n  proxy_temp_path ${dir};`],
    ])
    await run(nginx, ['-t', '-c', file])
    await using proxy = running(nginx, ['-c', file])
    await eventually(async () => expect(await statusOf(tls, '/ready'), proxy.output()).toBe(200))
    expect(await relayAnswers(tls)).toEqual(SUBSCRIBED)
    const log = () => readFile(join(dir, 'nginx.log'), 'utf8')
    await eventually(async () => expect(await log()).toContain('"GET /" 101'))
    expect(await log()).not.toMatch(/auth=|eyJ/)
  })
})

describe('Docker', () => {
  const FILES = ['docker-compose.yml', 'docker-compose.single.yml', 'docker-compose.cluster.yml']
  /** The Compose Specification, as Debian's own Compose has it. */
  const SCHEMA = '/usr/lib/python3/dist-packages/compose/config/compose_spec.json'
  const wanted = { variable: 'DOCKER_COMPOSE', names: ['docker-compose'], package: 'docker-compose' }

  it.each(FILES)('takes %s: it is of the Compose Specification', { timeout: SLOW }, async (file) => {
    await findOrInstall(wanted)
    // It names its parts in the manner of an older draft.
    const text = (await readFile(SCHEMA, 'utf8')).replaceAll(/"(id|\$schema)": "[^"]*",/g, '')
    const schema = JSON.parse(text)
    const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema)
    const content = parse(await readFile(file, 'utf8'), { merge: true })
    validate(content)
    expect(validate.errors ?? []).toEqual([])
    expect(validate({ ...content, services: { belfry: { port: ['8080'] } } })).toBe(false)
  })

  it.each(FILES.slice(0, 2))('finds every part of %s where it says', { timeout: SLOW }, async (file) => {
    const compose = await findOrInstall(wanted)
    await run(compose, ['-f', file, 'config', '--quiet'], { env: { ...process.env, BELFRY_SECRET: 'x' } })
  })
})

describe('systemd', () => {
  it('takes the unit, which is shut in as far as a server can be', { timeout: SLOW }, async () => {
    const analyze = await findOrInstall({
      variable: 'SYSTEMD_ANALYZE',
      names: ['systemd-analyze'],
      package: 'systemd',
    })
    const { stderr } = await run(analyze, ['verify', resolve('deploy/belfry.service')])
    expect(stderr).toBe('')
    // Of 100; a unit without any of it has 96.
    await run(analyze, ['security', '--offline=true', '--threshold=20', resolve('deploy/belfry.service')])
  })
})

const Rules = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({ alert: z.string(), expr: z.string(), annotations: z.object({ runbook: z.string() }) }),
      ),
    }),
  ),
})

describe('alerts', () => {
  it('are rules that Prometheus takes, each with a paragraph of the runbook', { timeout: SLOW }, async () => {
    const promtool = await findOrInstall({ variable: 'PROMTOOL', names: ['promtool'], package: 'prometheus' })
    await run(promtool, ['check', 'config', 'deploy/prometheus/prometheus.yml'])
    const { groups } = Rules.parse(parse(await readFile('deploy/prometheus/alerts.yml', 'utf8')))
    const alerts = groups.flatMap(({ rules }) => rules)
    const runbook = await readFile('docs/runbook.md', 'utf8')
    const paragraphs = [...runbook.matchAll(/^## (\w+)\n\n\S/gm)].flatMap(([, name]) => name ?? [])
    expect(paragraphs).toEqual(alerts.map(({ alert }) => alert))
    for (const { alert, annotations } of alerts)
      expect(annotations.runbook).toBe(`docs/runbook.md#${alert.toLowerCase()}`)
  })

  it('fire when they should, and only then', { timeout: SLOW }, async () => {
    const promtool = await findOrInstall({ variable: 'PROMTOOL', names: ['promtool'], package: 'prometheus' })
    await run(promtool, ['test', 'rules', 'test/deploy/alerts.test.yml'])
  })

  it('ask for metrics that there are, with labels that they have', async () => {
    const { groups } = Rules.parse(parse(await readFile('deploy/prometheus/alerts.yml', 'utf8')))
    for (const { expr } of groups.flatMap(({ rules }) => rules)) {
      for (const [, name = '', labels = ''] of expr.matchAll(
        /belfry_(\w+?)(?:_bucket)?(?:\{([^}]*)\}|\b)/g,
      )) {
        const declared = METRICS[name]
        expect(declared, name).toBeDefined()
        for (const [, label = ''] of labels.matchAll(/(\w+)=~?"/g)) expect(declared?.labels).toContain(label)
      }
    }
  })
})
