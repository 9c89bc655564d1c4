/** A dapp's calls that a server refuses for now: how often and when they are repeated, on a clock of the test's. */
import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { createDapp, type DappOptions } from '../../../src/sdk/dapp.ts'
import { eventually } from '../../support/eventually.ts'

type Answer = { status: number; headers?: Record<string, string>; body?: unknown }

const startServer = async (answer: (request: IncomingMessage, body: string) => Answer) => {
  const asked: { method: string | undefined; url: string | undefined; body: unknown }[] = []
  const server = createServer(async (request, response) => {
    const body = await text(request)
    asked.push({ method: request.method, url: request.url, body: body && JSON.parse(body) })
    const { status, headers = {}, body: said } = answer(request, body)
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(said === undefined ? '' : JSON.stringify(said))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = z.object({ port: z.number() }).parse(server.address())
  return {
    asked,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A clock whose pauses are over at once; it remembers how long they were. Time-outs of requests never come. */
const createPauses = () => {
  const pauses: number[] = []
  let now = 1_700_000_000_000
  const clock = {
    now: () => now,
    after(delay: number, task: () => void): Disposable {
      // How long an answer may take, as `fetchJson` has it.
      if (delay === 15_000) return { [Symbol.dispose]: () => {} }
      pauses.push(delay)
      now += delay
      const timer = setTimeout(task)
      return { [Symbol.dispose]: () => clearTimeout(timer) }
    },
  }
  return { pauses, clock }
}

const code = (expected: string) => expect.objectContaining({ name: 'ProtocolError', code: expected })

let answers: Answer[]
let server: Awaited<ReturnType<typeof startServer>>
beforeEach(async () => {
  answers = []
  server = await startServer(() => answers.shift() ?? { status: 200, body: ['eip155:1:0x0'] })
})
afterEach(() => server[Symbol.asyncDispose]())

const dappWith = (options: Partial<DappOptions> = {}) => {
  const { pauses, clock } = createPauses()
  const deps = { clock, random: () => 0 }
  return { pauses, dapp: createDapp({ url: server.url, projectId: 'p', secret: 's', ...options }, deps) }
}

describe('a call that is refused for now', () => {
  test('is repeated when the server says, and else after pauses that double', async () => {
    const date = new Date(1_700_000_000_000 + 2_000 + 500 + 4_000).toUTCString()
    answers = [
      { status: 429, headers: { 'retry-after': '2' } },
      { status: 503 },
      { status: 503, headers: { 'retry-after': date } },
    ]
    const { dapp, pauses } = dappWith()
    expect(await dapp.subscribers()).toEqual(['eip155:1:0x0'])
    expect(pauses).toEqual([2_000, 1_000, 3_000])
    expect(server.asked).toHaveLength(4)
  })

  test('rejects when it was refused too often, or would be for too long', async () => {
    answers = Array.from({ length: 4 }, () => ({ status: 503 }))
    const { dapp, pauses } = dappWith()
    await expect(dapp.subscribers()).rejects.toEqual(code('unavailable'))
    expect(pauses).toEqual([500, 1_000, 2_000])

    answers = [{ status: 429, headers: { 'retry-after': '3600' }, body: { error: 'Too many requests' } }]
    const tomorrow = dappWith()
    await expect(tomorrow.dapp.subscribers()).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfter: 3600,
    })
    expect(tomorrow.pauses).toEqual([])

    answers = [{ status: 503 }]
    await expect(dappWith({ retry: { times: 0 } }).dapp.subscribers()).rejects.toEqual(code('unavailable'))
  })

  test('is not repeated where the fault is the caller’s, or the server might have done it', async () => {
    answers = [{ status: 400 }, { status: 503 }]
    const { dapp, pauses } = dappWith()
    await expect(dapp.subscribers()).rejects.toEqual(code('bad_request'))
    const webhook = { url: 'https://a.test/', events: ['read'] } as const
    await expect(dapp.webhooks.add(webhook)).rejects.toEqual(code('unavailable'))
    expect(pauses).toEqual([])
    answers = [{ status: 429 }, { status: 201, body: { id: 'w', secret: 'whsec' } }]
    expect(await dapp.webhooks.add(webhook)).toEqual({ id: 'w', secret: 'whsec' })
  })

  test('has one id however often it is repeated, over all of its pages', async () => {
    const sent = { status: 200, body: { sent: [], failed: [], not_found: [] } }
    answers = [sent, { status: 503 }, sent]
    const { dapp } = dappWith()
    const accounts = Array.from({ length: 501 }, (_, at) => `eip155:1:0x${at}`)
    const { id } = await dapp.notify({ type: 't', title: 'x', body: 'x' }, accounts)
    const ids = server.asked.map(({ body }) =>
      z
        .array(z.object({ notification_id: z.string() }))
        .parse(body)
        .map((one) => one.notification_id),
    )
    expect(ids).toEqual([[id], [id], [id]])
    expect(id).toMatch(/^[0-9a-f-]{36}$/)
  })
})

test('an aborted signal ends the pauses', async () => {
  answers = Array.from({ length: 4 }, () => ({ status: 503, headers: { 'retry-after': '30' } }))
  const controller = new AbortController()
  const options = { url: server.url, projectId: 'p', secret: 's', signal: controller.signal }
  const waiting = createDapp(options).subscribers()
  await eventually(() => expect(server.asked).toHaveLength(1))
  controller.abort()
  await expect(waiting).rejects.toEqual(code('unavailable'))
  expect(server.asked).toHaveLength(1)
})
