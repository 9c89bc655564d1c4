import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { closedOf, startRelay, upgradeStatus } from '../support/world/relay.ts'
import { topicNamed } from '../support/world/relay-hub.ts'

const topic = topicNamed('a topic')

let relay: Awaited<ReturnType<typeof startRelay>>
const start = async (...options: Parameters<typeof startRelay>) => {
  relay = await startRelay(...options)
}
afterEach(() => relay[Symbol.asyncDispose]())

describe('a connection', () => {
  it('delivers from one client to another, and after a reconnect what was missed', async () => {
    await start()
    const key = generateSigningKey()
    const [a, b] = [await relay.connect(), await relay.connect(key)]
    await b.request('irn_subscribe', { topic })
    expect(await a.request('irn_publish', { topic, message: 'live', ttl: 60, tag: 1 })).toContain(
      '"result":true',
    )
    await eventually(() => expect(b.messages()).toEqual(['live']))
    b.ws.close()
    await closedOf(b.ws)
    await eventually(() => expect(relay.relay.connections).toBe(1))
    await a.request('irn_publish', { topic, message: 'missed', ttl: 60, tag: 1 })
    const again = await relay.connect(key)
    await eventually(() => expect(again.messages()).toEqual(['live', 'missed']))
  })

  it('is taken on / and /relay, with the token in the query or as a bearer', async () => {
    await start()
    const auth = relay.token()
    for (const [address, headers] of [
      [`/?auth=${auth}`, {}],
      [`/relay?auth=${auth}&ua=wc-2/js-2.25.0/test`, {}],
      ['/', { Authorization: `Bearer ${auth}` }],
    ] as const) {
      expect(await upgradeStatus(relay.dial(address, headers))).toBe(101)
    }
  })

  it('has no compression and takes text frames in pieces', async () => {
    await start()
    const a = await relay.connect()
    expect(a.ws.extensions).toBe('')
    const text = `{"id":5,"jsonrpc":"2.0","method":"irn_fetchMessages","params":{"topic":"${topic}"}}`
    a.ws.send(text.slice(0, 20), { fin: false })
    a.ws.send(text.slice(20), { fin: true })
    await eventually(() =>
      expect(a.frames).toEqual(['{"id":5,"jsonrpc":"2.0","result":{"messages":[],"hasMore":false}}']),
    )
  })

  it('is refused to an address that owes work, until it has paid, however often it asks meanwhile', async () => {
    const clock = manualClock(Date.now())
    await start({ clock, work: { burst: 20, seconds: 10 } })
    const ask = () => upgradeStatus(relay.dial(`/?auth=${relay.token()}`))
    expect([await ask(), await ask()]).toEqual([101, 101])
    for (let at = 0; at < 10; at++) expect(await ask()).toBe(429)
    await clock.advance(10_000)
    expect(await ask()).toBe(101)
  })

  it('joins the shared subscription with ?share=1', async () => {
    await start()
    const key = generateSigningKey()
    const workers = [await relay.connect(key, '&share=1'), await relay.connect(key, '&share=1')]
    await workers[0]?.request('irn_subscribe', { topic })
    const a = await relay.connect()
    for (let at = 0; at < 10; at++) await a.request('irn_publish', { topic, message: `m${at}`, ttl: 60 })
    await eventually(() => expect(workers.flatMap((worker) => worker.messages())).toHaveLength(10))
    for (const worker of workers) expect(worker.messages().length).toBe(5)
  })
})

describe('who is not let in', () => {
  it.each([
    ['without a token', () => '/', 401],
    ['with junk for a token', () => '/?auth=junk', 401],
    ['with an expired token', () => `/?auth=${relay.token(undefined, { exp: 1 })}`, 401],
    ['with a forged token', () => `/?auth=${relay.token(undefined, { iss: generateSigningKey().did })}`, 401],
    [
      'for another audience',
      () => `/?auth=${relay.token(undefined, { aud: 'wss://elsewhere.example' })}`,
      401,
    ],
    [
      'with an unknown project id',
      () => `/?auth=${relay.token(undefined, { aud: 'wss://relay.example.com' })}&projectId=x`,
      403,
    ],
  ])('%s gets its status, or a close with 3000 where it asked for that', async (_, address, status) => {
    await start({ projectIds: ['p'], publicOrigins: ['https://relay.example.com'] })
    const where = address()
    expect(await upgradeStatus(relay.dial(where))).toBe(status)
    const closed = await closedOf(
      relay.dial(`${where}${where.includes('?') ? '&' : '?'}useOnCloseEvent=true`),
    )
    expect(closed.code).toBe(3000)
    expect(closed.reason).not.toBe('')
  })

  it('is everybody but the clients of this relay and these projects', async () => {
    await start({ projectIds: ['p'], publicOrigins: ['https://relay.example.com'] })
    const auth = relay.token(undefined, { aud: 'wss://relay.example.com' })
    expect(await upgradeStatus(relay.dial(`/?auth=${auth}&projectId=p`))).toBe(101)
  })

  it('elsewhere gets 404, and at a broken address 400', async () => {
    await start()
    expect(await upgradeStatus(relay.dial(`/other?auth=${relay.token()}`))).toBe(404)
    const tcp = connectTcp(relay.port, '127.0.0.1')
    tcp.write(
      'GET // HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    const [data] = await once(tcp, 'data')
    expect(String(data)).toMatch(/^HTTP\/1.1 400 /)
    tcp.destroy()
  })
})

describe('a heartbeat', () => {
  it('is a ping every 25 s, and an irn_heartbeat after 20 idle seconds', async () => {
    const clock = manualClock()
    await start({ clock })
    const a = await relay.connect()
    let pings = 0
    a.ws.on('ping', () => pings++)
    await clock.advance(19_000)
    expect(a.frames).toEqual([])
    await clock.advance(1_000)
    await eventually(() => expect(a.frames).toHaveLength(1))
    expect(a.frames[0]).toMatch(/^\{"id":\d{16},"jsonrpc":"2.0","method":"irn_heartbeat","params":\{\}\}$/)
    await clock.advance(5_000)
    await eventually(() => expect(pings).toBe(1))
    await clock.advance(14_000)
    expect(a.frames).toHaveLength(1)
  })

  it('may come unasked, a thousand in 25 s; whoever goes on is cut', async () => {
    const clock = manualClock()
    await start({ clock })
    const a = await relay.connect()
    const closed = closedOf(a.ws)
    for (let round = 0; round < 2; round++) {
      for (let at = 0; at < 900; at++) a.ws.pong()
      // Answered behind them.
      await a.request(round === 0 ? 'irn_subscribe' : 'irn_unsubscribe', { topic })
      await clock.advance(25_000)
    }
    for (let at = 0; at < 1_100; at++) a.ws.pong()
    await eventually(() => expect(a.ws.readyState).toBe(WebSocket.CLOSING))
    await clock.advance(1_000)
    expect(await closed).toEqual({ code: 1008, reason: 'too many pings or pongs' })
    await eventually(() => expect(relay.relay.connections).toBe(0))
  })

  it('may come late, some hundreds at once: the newest is answered, and the connection goes on', async () => {
    await start()
    const a = await relay.connect()
    const pongs: string[] = []
    a.ws.on('pong', (data) => pongs.push(String(data)))
    for (let at = 0; at < 500; at++) a.ws.ping(`${at}`)
    await a.request('irn_subscribe', { topic })
    await eventually(() => expect(pongs.at(-1)).toBe('499'))
    expect(pongs.map(Number)).toEqual(pongs.map(Number).toSorted((one, other) => one - other))
    a.ws.ping('later')
    await eventually(() => expect(pongs.at(-1)).toBe('later'))
  })

  it('that is not answered twice ends the connection, one that is answered does not', async () => {
    const clock = manualClock()
    await start({ clock })
    const [dead, alive] = [await relay.connect(), await relay.connect()]
    // Answers nothing from here on.
    dead.ws.pause()
    for (let round = 1; round <= 2; round++) {
      await clock.advance(25_000)
      await eventually(() => expect(alive.frames.length).toBeGreaterThanOrEqual(round))
      await alive.request('irn_batchReceive', { receipts: [] })
    }
    expect(relay.relay.connections).toBe(2)
    await clock.advance(25_000)
    await eventually(() => expect(relay.relay.connections).toBe(1))
    expect(alive.ws.readyState).toBe(alive.ws.OPEN)
  })
})

describe('a slow reader', () => {
  it('is paused and then closed, while others are served', async () => {
    await start({
      limits: {
        closeBlockedAfterMs: 300,
        bufferedBytes: 64 * 1024,
        inFlightBytes: 1e9,
        inFlightMessages: 1e6,
      },
    })
    const [a, slow, quick] = [await relay.connect(), await relay.connect(), await relay.connect()]
    await slow.request('irn_subscribe', { topic })
    await quick.request('irn_subscribe', { topic })
    slow.ws.pause()
    // More than the kernel takes for a reader that does not read.
    const big = 'x'.repeat(250_000)
    for (let at = 0; at < 60; at++) await a.request('irn_publish', { topic, message: `${at}${big}`, ttl: 60 })
    await eventually(() => expect(quick.messages()).toHaveLength(60))
    await eventually(() => expect(relay.relay.connections).toBe(2))
    expect(slow.messages().length).toBeLessThan(60)
  })

  it('that reads in the end gets everything, in order', async () => {
    await start({ limits: { bufferedBytes: 64 * 1024, inFlightBytes: 1e9, inFlightMessages: 1e6 } })
    const [a, slow] = [await relay.connect(), await relay.connect()]
    await slow.request('irn_subscribe', { topic })
    slow.ws.pause()
    const big = 'x'.repeat(250_000)
    const messages = Array.from({ length: 40 }, (_, at) => `${at}${big}`)
    for (const message of messages) await a.request('irn_publish', { topic, message, ttl: 60 })
    slow.ws.resume()
    await eventually(() => expect(slow.messages()).toHaveLength(40))
    expect(slow.messages()).toEqual(messages)
  })
})

describe('the end', () => {
  it('is a close with 1001 for everybody, and nobody new is let in', async () => {
    await start()
    const clients = await Promise.all(Array.from({ length: 150 }, () => relay.connect()))
    const closed = Promise.all(clients.map((client) => client.closed()))
    const draining = relay.relay.drain()
    expect(await upgradeStatus(relay.dial(`/?auth=${relay.token()}`))).toBe(503)
    await draining
    expect(new Set((await closed).map(({ code }) => code))).toEqual(new Set([1001]))
    expect(relay.relay.connections).toBe(0)
  })

  it('comes after the answer to each publish that is kept', async () => {
    await start()
    const [first, ...clients] = await Promise.all(Array.from({ length: 20 }, () => relay.connect()))
    if (!first) throw new Error('There is no client')
    const everybody = [first, ...clients]
    for (const { ws, key } of everybody) {
      for (let at = 0; at < 50; at++) {
        const params = JSON.stringify({ topic, message: `${at} of ${key.did}`, ttl: 60, tag: 1 })
        ws.send(`{"id":"${at}","jsonrpc":"2.0","method":"irn_publish","params":${params}}`)
      }
    }
    await eventually(() => expect(first.frames).not.toEqual([]))
    await relay.relay.drain()
    const answered = everybody.flatMap(({ frames, key }) =>
      frames.map((frame) => `${/"id":"(\d+)"/.exec(frame)?.[1]} of ${key.did}`),
    )
    const kept: string[] = []
    const stranger = { clientId: generateSigningKey().did, address: 'a' }
    for (let hasMore = true; hasMore; ) {
      const request = { id: 1, jsonrpc: '2.0', method: 'irn_fetchMessages', params: { topic } }
      const { result } = JSON.parse(await relay.hub.call(stranger, JSON.stringify(request)))
      kept.push(...result.messages.map(({ message }: { message: string }) => message))
      hasMore = result.hasMore
    }
    expect(kept.length).toBeGreaterThan(0)
    expect(kept.filter((message) => !answered.includes(message))).toEqual([])
  })

  it('does not wait for those who do not answer, nor beyond its signal', async () => {
    await start()
    const a = await relay.connect()
    a.ws.pause()
    await relay.relay.drain(AbortSignal.timeout(50))
    expect(relay.relay.connections).toBe(0)
  })
})
