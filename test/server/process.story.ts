import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { silent, unmeasured } from '../../src/platform/telemetry.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { type ServerProcess, startServerProcess } from '../support/process.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-process-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const adminToken = (): string => JSON.parse(readFileSync(join(dir, 'admin.json'), 'utf8')).token
const addApp = (server: ServerProcess, domain: string, token: string) =>
  fetch(`${server.url}/admin/apps`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ domain }),
  })
const connect = (server: ServerProcess, key = generateSigningKey()) =>
  createRelayClient(
    { clock: systemClock, log: silent, meter: unmeasured },
    { url: server.wsUrl, key, remembers: true },
  )

/** Runs `belfry serve` until it ends by itself. */
const serve = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, ['dist/cli/main.js', 'serve', ...args], {
      env: { ...process.env, ...env },
    })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (text) => {
      said.stdout += text
    })
    child.stderr.on('data', (text) => {
      said.stderr += text
    })
    child.on('close', (code) => resolve({ code, ...said }))
  })

/** A request that the server has begun to read, and that never comes to its end: it keeps a stop waiting. */
const hangingRequest = async (server: ServerProcess): Promise<{ isOver: Promise<unknown> }> => {
  const headers = {
    ...{ 'content-type': 'application/json', expect: '100-continue' },
    // Without it Node sends a DELETE as one that has no body, which is answered at once.
    'transfer-encoding': 'chunked',
  }
  const sent = request(`${server.url}/identity`, { method: 'DELETE', headers })
  const isOver = new Promise((resolve) => sent.once('close', resolve))
  sent.on('error', () => {})
  sent.flushHeaders()
  await once(sent, 'continue')
  sent.write('{"idAuth":"')
  return { isOver }
}

describe('belfry serve', () => {
  it('serves on while the disk of its log is full', async () => {
    await using server = await startServerProcess(dir, {
      launcher: ['bash', '-c', 'exec "$@" 2>/dev/full', 'serve'],
    })
    for (let request = 0; request < 3; request++) {
      expect((await fetch(`${server.url}/nowhere`)).status).toBe(404)
    }
    expect((await addApp(server, 'full.example.com', adminToken())).status).toBe(200)
    expect(await server.end('SIGTERM')).toBe(0)
  })

  it('says once what the operator needs to know, and each time one JSON line', async () => {
    await using first = await startServerProcess(dir)
    const jsonLine =
      /^\{"ready":true,"url":"http:\/\/localhost:\d+","relay":"ws:\/\/localhost:\d+","metrics":null\}$/m
    await eventually(() => expect(first.output()).toMatch(jsonLine))
    await eventually(() => expect(first.output()).toContain('npx belfry notify '))
    expect(first.output()).toContain('for the first time')
    expect(first.output()).toMatch(/project id {6}[0-9a-f]{32}/)
    // Nobody looks at a terminal: what is kept of stderr holds no secret, and says which command prints it.
    expect(first.output()).toMatch(/project secret {2}printed by the first command below/)
    expect(first.output()).not.toMatch(/[\w-]{43}/)
    for (const words of ['app add', 'listen', 'notify'])
      expect(first.output()).toContain(`npx belfry ${words} `)
    expect(await first.end('SIGTERM')).toBe(0)

    await using second = await startServerProcess(dir)
    expect((await fetch(`${second.url}/ready`)).status).toBe(200)
    expect(second.output()).toMatch(jsonLine)
    expect(second.output()).not.toContain('project secret')
    expect(await second.end('SIGINT')).toBe(0)
  })

  it('without a relay in it says which address a wallet needs', async () => {
    await using relay = await startServerProcess(join(dir, 'relay'), { args: ['--rooms', 'relay'] })
    const args = ['--rooms', 'notify,keys', '--relay-url', relay.url]
    await using notify = await startServerProcess(join(dir, 'notify'), { args })
    await eventually(() =>
      expect(notify.output()).toContain('npx belfry listen app.example.com --server URL '),
    )
    const front = ['--public-url', 'https://belfry.example.com']
    await using named = await startServerProcess(join(dir, 'named'), { args: [...args, ...front] })
    await eventually(() =>
      expect(named.output()).toContain(
        'npx belfry listen app.example.com --server https://belfry.example.com\n',
      ),
    )
  })

  it('with --json says the same on a terminal as elsewhere', async () => {
    const words = `${process.execPath} dist/cli/main.js serve --json --port 0 --metrics off --data ${dir}`
    const terminal = spawn('script', ['-qfec', `exec ${words}`, '/dev/null'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let screen = ''
    terminal.stdout.setEncoding('utf8').on('data', (text) => {
      screen += text
    })
    await eventually(() => expect(screen).toMatch(/^\{"ready":true,.*\}\r?$/m))
    await eventually(() => expect(screen).toMatch(/^\{"level":"warn",/m))
    const ended = new Promise((resolve) => terminal.once('close', resolve))
    terminal.kill('SIGTERM')
    await ended
  })

  it('ends with 0 on SIGTERM, in the middle of work, and keeps what it acknowledged', async () => {
    await using server = await startServerProcess(dir)
    const token = adminToken()
    const [writer, reader] = [generateSigningKey(), generateSigningKey()]
    const topic = '7e'.repeat(32)
    const acknowledged: string[] = []
    {
      await using listener = connect(server, reader)
      await listener.subscribe([topic])
    }
    await using publisher = connect(server, writer)
    let isWorking = true
    const working = (async () => {
      for (let at = 0; isWorking; at++) {
        const message = Buffer.from(`message ${at}`).toString('base64')
        await publisher.publish({ topic, message, tag: 1, ttl: 3600 })
        acknowledged.push(message)
      }
    })().catch(() => {})
    const domains: string[] = []
    const adding = (async () => {
      for (let at = 0; isWorking; at++) {
        const answer = await addApp(server, `app${at}.example`, token).catch(() => undefined)
        if (answer?.status === 200) domains.push(`app${at}.example`)
        else if (answer === undefined) return
      }
    })()
    await eventually(() => expect(Math.min(acknowledged.length, domains.length)).toBeGreaterThan(5))
    // A stop that reaches its bound cuts off what is under way, and ends with 0 too: that must have been kept as well.
    expect(await server.end('SIGTERM')).toBe(0)
    isWorking = false
    await publisher[Symbol.asyncDispose]()
    await Promise.all([working, adding])

    await using again = await startServerProcess(dir)
    await using listener = connect(again, reader)
    const kept: string[] = []
    for (let more = await listener.fetch([topic]); more.length > 0; more = await listener.fetch([topic])) {
      kept.push(...more.map(({ message }) => message))
    }
    expect(acknowledged.filter((message) => !kept.includes(message))).toEqual([])
    const answer = await fetch(`${again.url}/admin/apps?limit=1000`, {
      headers: { authorization: `Bearer ${adminToken()}` },
    })
    const { apps } = await answer.json()
    const there = apps.map(({ domain }: { domain: string }) => domain)
    expect(domains.filter((domain) => !there.includes(domain))).toEqual([])
  })

  it('ends at once on a second signal', async () => {
    // Its own bound comes late enough for the second signal.
    await using server = await startServerProcess(dir, { args: ['--shutdown-seconds', '60'] })
    const hanging = await hangingRequest(server)
    const ended = server.end('SIGTERM')
    await eventually(() => expect(server.output()).toContain('a second signal ends the process at once'))
    process.kill(server.pid, 'SIGTERM')
    // By the signal, so there is no exit code; at its own bound it ends with 0.
    expect(await ended).toBeNull()
    await hanging.isOver
    // And the directory is free for the next one.
    await using next = await startServerProcess(dir)
    expect((await fetch(`${next.url}/health`)).status).toBe(200)
  })

  it('ends within its bound when a request never comes to its end', async () => {
    await using server = await startServerProcess(dir, { args: ['--shutdown-seconds', '1'] })
    const hanging = await hangingRequest(server)
    const startedAt = Date.now()
    expect(await server.end('SIGTERM')).toBe(0)
    // It waited for the request, which is cut off half-way to the bound; ten seconds are the default.
    const took = Date.now() - startedAt
    expect(took).toBeGreaterThan(250)
    expect(took).toBeLessThan(10_000)
    await hanging.isOver
  })

  it('refuses settings that make no sense, one sentence each', async () => {
    const { code, stdout, stderr } = await serve(['--port', 'x', '--data', dir], { BELFRY_METRICS: 'y' })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr.trim().split('\n')).toEqual([
      '--port must be a whole number from 0 to 65535, not "x".',
      'BELFRY_METRICS must be a port, an address with a port, off, or shared, not "y".',
    ])
  })

  it('refuses a directory that another process uses, and a port that is taken', async () => {
    await using server = await startServerProcess(dir)
    const same = await serve(['--port', '0', '--metrics', 'off', '--data', dir])
    expect(same).toEqual({
      code: 1,
      stdout: '',
      stderr: `The data directory ${dir} is used by another running process (${server.pid}).\n`,
    })
    const port = new URL(server.url).port
    const other = await serve(['--port', port, '--metrics', 'off', '--data', join(dir, 'other')])
    expect(other).toEqual({
      code: 1,
      stdout: '',
      stderr: `The server cannot listen on port ${port}: another program uses it.\n`,
    })
  })

  it('starts again after it was killed', async () => {
    const server = await startServerProcess(dir)
    expect(await server.end('SIGKILL')).toBeNull()
    await using again = await startServerProcess(dir)
    expect((await fetch(`${again.url}/ready`)).status).toBe(200)
  })
})
