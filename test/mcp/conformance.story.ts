/**
 * The protocol's own conformance kit, over HTTP. What needs nothing that only a test has runs against `belfry mcp` as it is;
 * the rest against the kit's tools on the same sessions and the same HTTP.
 *
 * One scenario does not apply: `server-sse-polling` is about streams that are taken up again after they were cut. Here nothing
 * lies in a stream alone: a question is taken up by its id, in another session too.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serveHttp } from '../../src/mcp/http/serve.ts'
import { createSessions } from '../../src/mcp/http/sessions.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { eventually } from '../support/eventually.ts'
import { COMMAND } from '../support/process.ts'
import { type AgentWorld, startAgentWorld } from './agent.ts'
import { createKitServer } from './kit/fixture.ts'

const run = promisify(execFile)
const KIT = resolve('node_modules/@modelcontextprotocol/conformance/dist/index.js')
const ON_NODE_20 = new URL('./kit/on-node-20.mjs', import.meta.url).href
const TOKEN = 'a-token-of-this-test-and-of-nobody-else'

const NOT_APPLICABLE = ['server-sse-polling']
/** Against the server as it is. */
const REAL = [
  ...['server-initialize', 'ping', 'logging-set-level', 'tools-list', 'resources-list', 'prompts-list'],
  ...['server-sse-multiple-streams', 'dns-rebinding-protection'],
]

let world: AgentWorld
let dir: string
const ends: (() => Promise<unknown>)[] = []

/** The kit knows no token: this adds it, and leaves all else as it is. */
const withToken = async (target: string): Promise<string> => {
  const proxy = createServer((given, answer) => {
    const headers = { ...given.headers, authorization: `Bearer ${TOKEN}` }
    const passed = request(target, { method: given.method, headers }, (got) => {
      answer.writeHead(got.statusCode ?? 500, got.headers)
      got.pipe(answer)
    })
    passed.on('error', () => answer.destroy())
    answer.on('close', () => passed.destroy())
    given.pipe(passed)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  ends.push(async () => {
    proxy.close()
    proxy.closeAllConnections()
  })
  const address = proxy.address()
  return `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}/mcp`
}

const startReal = async (): Promise<string> => {
  const words = ['mcp', '--app', world.domain, '--http', '--port', '0']
  const child = spawn(process.execPath, [resolve(COMMAND), ...words], {
    env: { ...world.env, BELFRY_MCP_TOKEN: TOKEN },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  ends.push(async () => {
    const ended = once(child, 'close')
    child.kill('SIGKILL')
    await ended
  })
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  return eventually(() => {
    const found = /http:\S+\/mcp/.exec(said)?.[0]
    if (!found) throw new Error(`It does not listen: ${said}`)
    return found
  })
}

let real: string
let kit: string
beforeAll(async () => {
  world = await startAgentWorld()
  dir = await mkdtemp(join(tmpdir(), 'belfry-conformance-'))
  real = await withToken(await startReal())
  const sessions = createSessions({ clock: systemClock, newSpeaker: createKitServer })
  const options = { host: '127.0.0.1', port: 0, names: [], token: TOKEN }
  const served = await serveHttp({ sessions, log: silent }, options)
  ends.push(async () => served[Symbol.asyncDispose]())
  kit = await withToken(served.url)
})
afterAll(async () => {
  for (const end of ends.reverse()) await end()
  await world?.[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

const node = (...words: string[]) =>
  run(process.execPath, ['--import', ON_NODE_20, KIT, ...words], { cwd: dir }).catch(
    ({ stdout, stderr }: { stdout: string; stderr: string }) => {
      throw new Error(`${words.join(' ')}:\n${stdout}\n${stderr}`)
    },
  )

/** What the kit says of one scenario: it ends with 1 where a check failed. */
const passes = async (url: string, scenario: string) => {
  const { stdout } = await node('server', '--url', url, '--scenario', scenario)
  expect(stdout).toMatch(/^Passed: ([1-9]\d*)\/\1, 0 failed, 0 warnings$/m)
}

const allScenarios = async (): Promise<string[]> => {
  const { stdout } = await node('list', '--server')
  return [...stdout.matchAll(/^ {2}- ([\w-]+)/gm)].map(([, name = '']) => name)
}

describe('the server as it is', () => {
  it.each(REAL)('passes %s', (scenario) => passes(real, scenario))
})

it("passes the kit's other scenarios, with the kit's tools", async () => {
  const others = (await allScenarios()).filter(
    (name) => !REAL.includes(name) && !NOT_APPLICABLE.includes(name),
  )
  expect(others.length).toBeGreaterThan(20)
  for (const scenario of others) await passes(kit, scenario)
}, 360_000)

it('knows every scenario of the kit', async () => {
  expect(await allScenarios()).toEqual(expect.arrayContaining([...REAL, ...NOT_APPLICABLE]))
})
