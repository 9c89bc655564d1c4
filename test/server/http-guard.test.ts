/** What connections, requests and answers take of their address, and that all of it is given back. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Budgets, createBudgets, DEFAULT_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { createBuckets } from '../../src/platform/budgets/token-buckets.ts'
import { createClientAddress, createProxyTrust } from '../../src/platform/net/client-address.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { closeServer, createHttpServer, listen } from '../../src/server/http.ts'
import { createHttpGuard } from '../../src/server/http-guard.ts'
import { capturedLog } from '../support/capture/log.ts'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'

const MIB = 1024 * 1024
const LARGE = 'x'.repeat(9 * MIB)
const LONG_MS = 20 * 60_000

const startGuarded = async (trusted: string[]) => {
  const clock = manualClock()
  const budgets: Budgets = createBudgets({ buckets: createBuckets(clock), clock }, DEFAULT_BUDGETS)
  let asked = 0
  let letGo = () => {}
  const released = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const fetch = async (request: Request): Promise<Response> => {
    asked++
    const { pathname } = new URL(request.url)
    if (pathname === '/large') return new Response(LARGE)
    if (pathname === '/late') await released
    if (pathname === '/body') await request.arrayBuffer()
    return new Response('ok')
  }
  const guard = createHttpGuard({
    ...{ budgets, clock, meter: unmeasured, isOperator: () => false, isBlocked: () => false },
    ...{ addressOf: createClientAddress(trusted), isProxy: createProxyTrust(trusted) },
  })
  const server = createHttpServer(fetch, capturedLog, guard)
  const port = await listen(server, 0, '127.0.0.1')
  const sockets: Socket[] = []
  return {
    ...{ clock, budgets, letGo, port },
    url: `http://127.0.0.1:${port}`,
    get asked() {
      return asked
    },
    /** A connection that says this and does not read. */
    async deaf(text: string) {
      const socket = connect(port, '127.0.0.1')
      sockets.push(socket)
      socket.on('error', () => {})
      await once(socket, 'connect')
      socket.pause()
      socket.write(text)
      return socket
    },
    async [Symbol.asyncDispose]() {
      letGo()
      for (const socket of sockets) socket.destroy()
      await closeServer(server)
    },
  }
}

const ask = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: belfry\r\n${more}\r\n`
const nothingIsHeld = ({ connections, memory }: Budgets) =>
  eventually(() => {
    if (connections.held + memory.held > 0) throw new Error(`${connections.held}, ${memory.held} are held`)
  })

let house: Awaited<ReturnType<typeof startGuarded>>
beforeEach(async () => {
  house = await startGuarded(['none'])
})
afterEach(async () => {
  await house[Symbol.asyncDispose]()
  await nothingIsHeld(house.budgets)
})

it('an answer that nobody reads holds memory of its address, and is cut off in the end', async () => {
  const deaf = await house.deaf(ask('/large'))
  const closed = once(deaf, 'close')
  await eventually(() => expect(house.budgets.memory.held).toBe(LARGE.length))
  const second = await fetch(`${house.url}/large`)
  expect(second.status).toBe(429)
  expect(await second.json()).toMatchObject({ code: 'rate_limited' })
  expect((await fetch(`${house.url}/small`)).status).toBe(200)
  await house.clock.advance(LONG_MS)
  deaf.resume()
  await closed
  await eventually(() => expect(house.budgets.memory.held).toBe(0))
  expect(deaf.bytesRead).toBeLessThan(LARGE.length)
  expect((await (await fetch(`${house.url}/large`)).text()).length).toBe(LARGE.length)
})

it('an answer that is read gives its memory back at once', async () => {
  for (let at = 0; at < 5; at++)
    expect((await (await fetch(`${house.url}/large`)).text()).length).toBe(9 * MIB)
  await eventually(() => expect(house.budgets.memory.held).toBe(0))
})

it('a body takes the memory that it announces, until it is answered', async () => {
  const upload = (bytes: number) =>
    `POST /body HTTP/1.1\r\nHost: belfry\r\nContent-Length: ${bytes}\r\n\r\nbegun`
  for (let at = 0; at < 16; at++) await house.deaf(upload(MIB))
  await eventually(() => expect(house.budgets.memory.held).toBe(16 * MIB))
  const more = await fetch(`${house.url}/body`, { method: 'POST', body: new Uint8Array(100_000) })
  expect(more.status).toBe(429)
  expect((await fetch(`${house.url}/body`, { method: 'POST', body: 'little' })).status).toBe(200)
})

it('of requests in one connection that wait for their answers, so many are looked at', async () => {
  const most = DEFAULT_BUDGETS.connections.each
  const socket = await house.deaf(ask('/late').repeat(most + 50))
  let said = ''
  socket.on('data', (chunk) => {
    said += chunk
  })
  socket.resume()
  await eventually(() => expect(house.asked).toBe(most))
  expect(house.budgets.connections.held).toBe(most)
  house.letGo()
  await eventually(() => expect(said.match(/HTTP\/1\.1 429 /g)).toHaveLength(50))
  expect(said.match(/HTTP\/1\.1 200 /g)).toHaveLength(most)
})

/** What a connection says until it is cut or has had so many answers. */
const listen429 = (socket: Socket) => {
  let said = ''
  let isCut = false
  socket.on('data', (chunk) => {
    said += chunk
  })
  socket.once('close', () => {
    isCut = true
  })
  socket.resume()
  return { refused: () => said.match(/HTTP\/1\.1 429 /g)?.length ?? 0, isCut: () => isCut }
}

it('probes are so many at once, whatever else the address has asked', async () => {
  const flood = listen429(await house.deaf(ask('/ready').repeat(230)))
  await eventually(() => expect(flood.refused()).toBe(30))
  expect(house.asked).toBe(200)
  expect((await fetch(`${house.url}/small`)).status).toBe(200)
  await house.clock.advance(10_000)
  house.budgets.work.spend('127.0.0.1', 1_000_000)
  expect((await fetch(`${house.url}/small`)).status).toBe(429)
  expect((await fetch(`${house.url}/health`)).status).toBe(200)
})

it('whoever sends on and on without reading refusals loses every connection, for a while', async () => {
  const other = listen429(await house.deaf(ask('/small')))
  await eventually(() => expect(house.asked).toBe(1))
  house.budgets.work.spend('127.0.0.1', 1_000_000)
  const flood = listen429(await house.deaf(ask('/small').repeat(1_700)))
  await eventually(() => expect([flood.isCut(), other.isCut()]).toEqual([true, true]))
  expect(house.asked).toBe(1)
  await expect(fetch(`${house.url}/health`)).rejects.toThrow()
  await house.clock.advance(10_000)
  expect((await fetch(`${house.url}/health`)).status).toBe(200)
})

it('whoever waits for each refusal is cut in the end, and keeps its other connections', async () => {
  const other = listen429(await house.deaf(ask('/small')))
  await eventually(() => expect(house.asked).toBe(1))
  house.budgets.work.spend('127.0.0.1', 1_000_000)
  house.budgets.refusals.charge('127.0.0.1', 999)
  expect((await fetch(`${house.url}/small`)).status).toBe(429)
  await expect(fetch(`${house.url}/small`)).rejects.toThrow()
  expect(other.isCut()).toBe(false)
  expect((await fetch(`${house.url}/health`)).status).toBe(200)
})

it('behind a trusted proxy the address of a request pays, and not the connection', async () => {
  await using behind = await startGuarded(['loopback'])
  const from = (address: string) => ask('/late', `X-Forwarded-For: ${address}\r\n`)
  for (let at = 0; at < 300; at++) await behind.deaf(from(at < 280 ? '203.0.113.7' : '203.0.113.8'))
  await eventually(() => expect(behind.asked).toBe(DEFAULT_BUDGETS.connections.each + 20))
  expect(behind.budgets.connections.left('203.0.113.7')).toBe(0)
  behind.letGo()
  await eventually(() => expect(behind.budgets.connections.held).toBe(0))
})
