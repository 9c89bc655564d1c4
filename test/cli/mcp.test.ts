/** `belfry mcp` as a command: what it needs, what it prints, and how it ends. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { COMMAND } from '../support/process.ts'
import { runBelfry } from './belfry.ts'

const SECRET = 'a-project-secret-that-nobody-sees'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-mcp-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

/** No server is asked before a tool is called. */
const SERVER = { BELFRY_SERVER: 'http://127.0.0.1:9' }
const APP = { BELFRY_APP: 'app.example.com', BELFRY_PROJECT_ID: 'p', BELFRY_PROJECT_SECRET: SECRET }
const belfry = (words: readonly string[], env: NodeJS.ProcessEnv = { ...SERVER, ...APP }) =>
  runBelfry(['mcp', ...words], { cwd: dir, env })

it.each([
  [[], SERVER, /^An agent needs an app \(--app\), an inbox \(--inbox\), or both/],
  [['--app', 'a.example.com'], SERVER, /^--app needs --project or BELFRY_PROJECT_ID/],
  [
    ['--app', 'a.example.com', '--project', 'p'],
    SERVER,
    /^--app needs BELFRY_PROJECT_SECRET in the environment/,
  ],
  [['--http', '--port', 'x'], { ...SERVER, ...APP }, /^--port must be a whole number/],
  [['--http'], { ...SERVER, ...APP, BELFRY_MCP_TOKEN: 'short' }, /^BELFRY_MCP_TOKEN must have at least 32/],
] as const)('%j makes no sense, and is told why', async (words, env, sentence) => {
  const { code, stdout, stderr } = await belfry(words, env)
  expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(sentence) })
})

it('fails in a sentence where there is no server, or the port is taken', async () => {
  expect(await belfry([], APP)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^No server is running/),
  })
  const taken = createServer()
  await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done))
  const address = taken.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const { code, stderr } = await belfry(['--http', '--port', String(port)])
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `The port ${port} is in use: choose another one with --port.\n`,
  })
  taken.close()
})

it('prints its tools as JSON, and nothing secret', async () => {
  const { code, stdout, stderr } = await belfry(['--json', '--inbox', './inbox'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const names = JSON.parse(stdout).map(({ name }: { name: string }) => name)
  expect(names).toEqual(expect.arrayContaining(['notify', 'ask', 'inbox_read']))
  expect(stdout).not.toContain(SECRET)
  // As docs/agents.md has it, before there is a server or a secret.
  const bare = await belfry(['--app', 'app.example.com', '--json'], {})
  expect({ code: bare.code, stderr: bare.stderr }).toEqual({ code: 0, stderr: '' })
  expect(bare.stdout).toContain('"ask"')
})

/** One that runs until it is ended. */
const start = (words: readonly string[] = []) => {
  const child = spawn(process.execPath, [resolve(COMMAND), 'mcp', ...words], {
    cwd: dir,
    env: { PATH: process.env.PATH, ...SERVER, ...APP },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', (text) => {
    said.stdout += text
  })
  child.stderr.on('data', (text) => {
    said.stderr += text
  })
  const ended = new Promise<number | null>((done) => child.once('close', done))
  return { child, said, ended }
}
const say = ({ child }: ReturnType<typeof start>, message: object) =>
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)

it('says nothing on stdout but the protocol, whatever comes, and ends with its client', async () => {
  const agent = start()
  agent.child.stdin.write('this is no JSON\n\n{"neither": "this"}\n')
  const clientInfo = { name: 'test', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  say(agent, { id: 1, method: 'initialize', params })
  say(agent, { method: 'notifications/initialized' })
  say(agent, { id: 2, method: 'tools/call', params: { name: 'sent', arguments: {} } })
  say(agent, { id: 3, method: 'no/such/method' })
  await eventually(() => expect(agent.said.stdout.trimEnd().split('\n')).toHaveLength(3))
  const answers = agent.said.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(answers).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ id: 1, result: expect.objectContaining({ serverInfo: expect.anything() }) }),
      expect.objectContaining({ id: 2, result: expect.objectContaining({ isError: true }) }),
      expect.objectContaining({ id: 3, error: expect.objectContaining({ code: -32601 }) }),
    ]),
  )
  agent.child.stdin.end()
  expect(await agent.ended).toBe(0)
  expect(agent.said.stderr).not.toContain(SECRET)
})

it('makes a token for HTTP where it was given none, shows it once, and ends with 0 when it is told to', async () => {
  const agent = start(['--http', '--port', '0'])
  await eventually(() =>
    expect(agent.said.stderr).toMatch(
      /^Agents reach it at http:\/\/127\.0\.0\.1:\d+\/mcp\n {2}Authorization: Bearer [\w-]{43}\n$/,
    ),
  )
  agent.child.kill('SIGTERM')
  expect(await agent.ended).toBe(0)
  expect(agent.said.stdout).toBe('')
})
