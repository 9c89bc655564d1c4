/** Over Streamable HTTP: who may come in, what is bounded, and what ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { resolve } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../src/mcp/http/sessions.ts'
import { createCallGate, createMcpServer } from '../../src/mcp/server.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { COMMAND } from '../support/process.ts'
import { type AgentWorld, CHOICES, callerOf, startAgentWorld } from './agent.ts'

const TOKEN = 'a-token-of-this-test-and-of-nobody-else'

let world: AgentWorld
let url: string
let end: () => Promise<number | null>
let stderr = ''
beforeAll(async () => {
  world = await startAgentWorld()
  const words = ['mcp', '--app', world.domain, '--http', '--port', '0', '--name', 'agents.example.com']
  const child = spawn(process.execPath, [resolve(COMMAND), ...words], {
    env: { ...world.env, BELFRY_MCP_TOKEN: TOKEN },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stderr.on('data', (text) => {
    stderr += text
  })
  const ended = new Promise<number | null>((done) => child.once('close', done))
  end = () => {
    child.kill('SIGTERM')
    return ended
  }
  url = await eventually(() => {
    const found = /http:\/\/127\.0\.0\.1:\d+\/mcp/.exec(stderr)?.[0]
    if (!found) throw new Error(`It does not listen: ${stderr}`)
    return found
  })
})
afterAll(async () => {
  await end?.()
  await world?.[Symbol.asyncDispose]()
})

const connected = async (token = TOKEN) => {
  const client = new Client({ name: 'test', version: '1' })
  const headers = { authorization: `Bearer ${token}` }
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
  // Its types know no exactOptionalPropertyTypes.
  await client.connect(transport as Parameters<Client['connect']>[0])
  return { transport, ...callerOf(client) }
}

const initialize = JSON.stringify({
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
})
const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

/** `fetch` sets no `Host`. */
const post = (
  headers: Record<string, string>,
  body = initialize,
): Promise<{ status: number; text: string }> =>
  new Promise((done, fail) => {
    const sent = request(url, { method: 'POST', headers: { ...JSON_HEADERS, ...headers } }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      answer.once('end', () => done({ status: answer.statusCode ?? 0, text }))
    })
    sent.once('error', fail)
    sent.end(body)
  })

describe('over HTTP', () => {
  it('a client asks, is told how far it is, and gets the answer; another session has it too', async () => {
    const [agent, subscriber] = [await connected(), await world.subscriber()]
    const question = { type: 'Questions', title: 'http', body: 'Shall we?', id: 'http', choices: CHOICES }
    const said: (string | undefined)[] = []
    const asked = agent.call(
      'ask',
      { ...question, accounts: [subscriber.account] },
      { onprogress: ({ message }) => said.push(message) },
    )
    await eventually(() => expect(said).toContain('0 of 1 have answered'))
    await subscriber.answer('http', 'yes')
    const answered = await asked
    expect(answered).toMatchObject({ status: 'answered', counts: { yes: 1, no: 0 } })
    const other = await connected()
    expect(await other.call('answers', { id: 'http' })).toEqual(answered)
    const { sessionId = '' } = agent.transport
    await agent.transport.terminateSession()
    const ended = { authorization: `Bearer ${TOKEN}`, 'mcp-session-id': sessionId }
    expect(await post(ended)).toMatchObject({ status: 404 })
    await other.client.close()
  })

  it('strangers who hold connections keep its owner neither out nor from going on', async () => {
    const owner = await connected()
    const { hostname, port } = new URL(url)
    const silent = Array.from({ length: 300 }, () => connect({ host: hostname, port: Number(port) }))
    for (const socket of silent) socket.on('error', () => {}).resume()
    await Promise.all(silent.map((socket) => once(socket, 'connect')))
    try {
      // Of these the newest may stay.
      await eventually(() => expect(silent.filter(({ destroyed }) => !destroyed).length).toBeLessThan(65))
      expect((await owner.client.listTools()).tools.length).toBeGreaterThan(0)
      const another = await connected()
      await another.client.close()
    } finally {
      for (const socket of silent) socket.destroy()
    }
    await owner.client.close()
  })

  it.each([
    ['no token', {}, 401],
    ['a wrong token', { authorization: 'Bearer wrong' }, 401],
    [
      'a name that leads here and is not ours',
      { authorization: `Bearer ${TOKEN}`, host: 'evil.example.com' },
      403,
    ],
    [
      'a page of another server',
      { authorization: `Bearer ${TOKEN}`, origin: 'https://evil.example.com' },
      403,
    ],
    ['a page without an origin', { authorization: `Bearer ${TOKEN}`, origin: 'null' }, 403],
    ['a session that is not there', { authorization: `Bearer ${TOKEN}`, 'mcp-session-id': 'none' }, 404],
    ['a name that is ours', { authorization: `Bearer ${TOKEN}`, host: 'agents.example.com' }, 200],
    ['a page of this machine', { authorization: `Bearer ${TOKEN}`, origin: 'http://localhost:3000' }, 200],
  ] as const)('%s is answered as it should be', async (_, headers, status) => {
    const answer = await post(headers)
    expect(answer.status).toBe(status)
    expect(answer.text).not.toContain(TOKEN)
  })

  it('a stranger is refused before anything that it says is read, and too much is refused to all', async () => {
    const much = 'x'.repeat(1_000_000)
    expect(await post({ origin: 'https://evil.example.com' }, much)).toMatchObject({ status: 403 })
    expect(await post({ authorization: `Bearer ${TOKEN}` }, much)).toMatchObject({ status: 413 })
    expect(await post({ authorization: `Bearer ${TOKEN}` }, '{}')).toMatchObject({ status: 400 })
    expect((await fetch(new URL('/', url))).status).toBe(404)
    expect(stderr).not.toContain('    at ')
    expect(stderr).not.toContain(TOKEN)
  })
})

describe('sessions', () => {
  const newSessions = (options: Parameters<typeof createSessions>[1] = {}) => {
    const clock = manualClock()
    const calls = createCallGate()
    const newSpeaker = () => createMcpServer({ log: silent, calls }, { tools: [] }, { version: '1' })
    const sessions = createSessions({ clock, newSpeaker }, options)
    const begin = async () => {
      const init = { method: 'POST', headers: JSON_HEADERS, body: initialize }
      const answer = await sessions.handle(new Request('http://127.0.0.1/mcp', init))
      await answer.text()
      return answer.headers.get('mcp-session-id') ?? ''
    }
    const status = async (id: string) => {
      const headers = { ...JSON_HEADERS, 'mcp-session-id': id }
      const body = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'ping' })
      const answer = await sessions.handle(
        new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }),
      )
      await answer.text()
      return answer.status
    }
    return { clock, sessions, begin, status }
  }

  it('are so many at most: a new one takes the place of the one that was not used for longest', async () => {
    const { sessions, begin, status } = newSessions({ most: 2 })
    const [first, second] = [await begin(), await begin()]
    expect(await status(first)).toBe(200)
    const third = await begin()
    expect(sessions.size).toBe(2)
    expect([await status(first), await status(second), await status(third)]).toEqual([200, 404, 200])
  })

  it('end an hour after their last request, and with their server', async () => {
    const { clock, sessions, begin, status } = newSessions()
    const [idle, used] = [await begin(), await begin()]
    await clock.advance(2_000_000)
    expect(await status(used)).toBe(200)
    await clock.advance(2_000_000)
    expect([await status(idle), await status(used)]).toEqual([404, 200])
    await sessions[Symbol.asyncDispose]()
    expect(sessions.size).toBe(0)
  })

  it('are not begun by what is no beginning', async () => {
    const { sessions } = newSessions()
    const body = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/list' })
    const init = { method: 'POST', headers: JSON_HEADERS, body }
    expect((await sessions.handle(new Request('http://127.0.0.1/mcp', init))).status).toBe(400)
    expect((await sessions.handle(new Request('http://127.0.0.1/mcp'))).status).toBe(400)
    expect(sessions.size).toBe(0)
  })
})

it('ends in good order when it is told to', async () => {
  const { client } = await connected()
  expect(await end()).toBe(0)
  await client.close()
})

it('calls under way are so many at most', async () => {
  const gate = createCallGate(1)
  {
    using _first = gate.enter()
    expect(() => gate.enter()).toThrow('1 calls are under way')
  }
  gate.enter()
})
